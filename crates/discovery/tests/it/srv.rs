//! SRV records, from a name server that knows a few.

use discovery::Resolver;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use tokio::net::UdpSocket;

/// Service and domain; priority, weight, port.
type Table = &'static [(&'static str, &'static [(u16, u16, u16)])];

/// A resolver that asks a server which answers from the table; all targets are this machine.
async fn resolver(table: Table) -> Resolver {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut buffer = [0; 1500];
        while let Ok((len, client)) = socket.recv_from(&mut buffer).await {
            let answer = answer(&buffer[..len], table);
            socket.send_to(&answer, client).await.unwrap();
        }
    });
    let mut connection = ConnectionConfig::udp();
    connection.port = port;
    let server = NameServerConfig::new("127.0.0.1".parse().unwrap(), true, vec![connection]);
    let config = ResolverConfig::from_name_servers(vec![server]);
    let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    Resolver::with(builder.build().unwrap())
}

/// The query's header and question, then a record for each line of the table (RFC 1035, section 4).
fn answer(query: &[u8], table: Table) -> Vec<u8> {
    let mut labels = Vec::new();
    let mut at = 12;
    while query[at] > 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..end]).into_owned());
        at = end;
    }
    let name = labels.join(".");
    let records = table
        .iter()
        .find(|(known, _)| *known == name)
        .map_or(&[][..], |(_, records)| records);
    let mut out = query[..2].to_vec();
    // A response, recursion available; code 3 says that there is no such name.
    out.extend([0x81, if records.is_empty() { 0x83 } else { 0x80 }]);
    out.extend([0, 1, 0, records.len() as u8, 0, 0, 0, 0]);
    out.extend_from_slice(&query[12..at + 5]);
    for (priority, weight, port) in records {
        let target = b"\x09localhost\x00";
        // The question's name; SRV; class IN; sixty seconds.
        out.extend([0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 60]);
        out.extend((6 + target.len() as u16).to_be_bytes());
        for number in [priority, weight, port] {
            out.extend(number.to_be_bytes());
        }
        out.extend_from_slice(target);
    }
    out
}

#[tokio::test]
async fn first_members_are_found_and_this_one_among_them_gets_its_name() {
    let resolver = resolver(&[(
        "_etcd-server._tcp.example.com",
        &[(0, 0, 2380), (0, 0, 12380), (0, 0, 22380)],
    )])
    .await;
    let advertised = ["http://127.0.0.1:12380".to_owned()];
    let found = resolver
        .initial_cluster("example.com", "", "m1", &advertised)
        .await
        .unwrap();
    assert_eq!(
        found,
        "0=http://localhost:2380,m1=http://localhost:12380,1=http://localhost:22380"
    );
}

#[tokio::test]
async fn a_suffix_names_another_service_and_tls_has_its_own() {
    let resolver = resolver(&[
        ("_etcd-server-ssl-blue._tcp.example.com", &[(0, 0, 2380)]),
        (
            "_etcd-client-ssl-blue._tcp.example.com",
            &[(1, 0, 2379), (0, 5, 3379)],
        ),
        ("_etcd-client-blue._tcp.example.com", &[(0, 0, 4379)]),
    ])
    .await;
    let advertised = ["https://127.0.0.1:2380".to_owned()];
    let found = resolver
        .initial_cluster("example.com", "blue", "m1", &advertised)
        .await
        .unwrap();
    assert_eq!(found, "m1=https://localhost:2380");
    let clients = resolver.clients("example.com", "blue").await.unwrap();
    let urls: Vec<String> = clients.iter().map(|record| record.url()).collect();
    assert_eq!(
        urls,
        [
            "https://localhost:3379",
            "https://localhost:2379",
            "http://localhost:4379"
        ],
        "in order of priority"
    );
    assert_eq!((clients[0].priority, clients[0].weight), (0, 5));
}

#[tokio::test]
async fn a_record_of_this_member_with_another_scheme_is_an_error() {
    let resolver = resolver(&[("_etcd-server._tcp.example.com", &[(0, 0, 2380)])]).await;
    let advertised = ["https://127.0.0.1:2380".to_owned()];
    let error = resolver
        .initial_cluster("example.com", "", "m1", &advertised)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("scheme mismatch with expected peer https://127.0.0.1:2380"),
        "{error}"
    );
}

#[tokio::test]
async fn a_domain_without_records_is_named() {
    let resolver = resolver(&[]).await;
    let error = resolver.clients("example.com", "").await.unwrap_err().to_string();
    assert!(error.contains("_etcd-client._tcp.example.com"), "{error}");
}
