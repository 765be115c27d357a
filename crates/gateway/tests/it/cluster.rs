//! Members.

use crate::support::{MEMBER, Server, refusal};
use model::pb::etcdserverpb as pb;
use tonic::Code;

#[tokio::test]
async fn members_are_listed_without_a_revision() {
    let server = Server::start().await;
    server
        .kv()
        .await
        .put(crate::support::put("a", "1"))
        .await
        .unwrap();
    let mut client = server.cluster().await;
    for linearizable in [false, true] {
        let list = client
            .member_list(pb::MemberListRequest { linearizable })
            .await
            .unwrap()
            .into_inner();
        let header = list.header.unwrap();
        assert_eq!((header.member_id, header.revision), (MEMBER, 0));
        assert!(header.raft_term > 0);
        let [member] = &list.members[..] else {
            panic!("one member, not {:?}", list.members)
        };
        assert_eq!(
            (member.id, &member.name[..], member.is_learner),
            (MEMBER, "one", false)
        );
        assert_eq!(member.client_urls, ["http://127.0.0.1:2379"]);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_learner_is_added_and_removed() {
    let server = Server::start().await;
    let mut client = server.etcd().await;
    let options = etcd_client::MemberAddOptions::new().with_is_learner();
    let added = client
        .member_add(["http://127.0.0.1:9"], Some(options))
        .await
        .unwrap();
    let id = added.member().unwrap().id();
    assert!(added.member().unwrap().name().is_empty() && added.member_list().len() == 2);
    let mut cluster = server.cluster().await;
    assert_eq!(
        refusal(cluster.member_promote(pb::MemberPromoteRequest { id }).await),
        (
            Code::FailedPrecondition,
            "etcdserver: can only promote a learner member which is in sync with leader".into()
        )
    );
    assert_eq!(client.member_remove(id).await.unwrap().members().len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn refusals_have_etcds_codes_and_texts() {
    let server = Server::start().await;
    let mut client = server.cluster().await;
    for urls in [vec![], vec!["nonsense".to_owned()], vec!["http://host".into()]] {
        let request = pb::MemberAddRequest {
            peer_urls: urls,
            is_learner: false,
        };
        assert_eq!(
            refusal(client.member_add(request).await),
            (
                Code::InvalidArgument,
                "etcdserver: given member URLs are invalid".into()
            )
        );
    }
    assert_eq!(
        refusal(client.member_remove(pb::MemberRemoveRequest { id: 5 }).await),
        (Code::NotFound, "etcdserver: member not found".into())
    );
    assert_eq!(
        refusal(client.member_remove(pb::MemberRemoveRequest { id: MEMBER }).await),
        (
            Code::Unknown,
            "etcdserver: re-configuration failed due to not enough started members".into()
        )
    );
    assert_eq!(
        refusal(
            client
                .member_promote(pb::MemberPromoteRequest { id: MEMBER })
                .await
        ),
        (
            Code::FailedPrecondition,
            "etcdserver: can only promote a learner member".into()
        )
    );
    server.stop().await;
}
