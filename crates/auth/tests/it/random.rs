//! Random commands; what must hold after each of them.

use auth::{AuthStore, Tokens};
use bytes::Bytes;
use model::pb::authpb::Permission;
use model::pb::etcdserverpb as pb;
use model::{LogIndex, Request};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["root", "a", "b", ""]).prop_map(str::to_owned)
}

fn key() -> impl Strategy<Value = Bytes> {
    prop::sample::select(vec!["", "\0", "a", "b", "c"]).prop_map(Bytes::from)
}

fn command() -> impl Strategy<Value = Request> {
    prop_oneof![
        1 => Just(Request::AuthEnable(pb::AuthEnableRequest {})),
        1 => Just(Request::AuthDisable(pb::AuthDisableRequest {})),
        2 => name().prop_map(|name| Request::AuthUserAdd(pb::AuthUserAddRequest {
            name,
            ..Default::default()
        })),
        1 => name().prop_map(|name| Request::AuthUserDelete(pb::AuthUserDeleteRequest { name })),
        1 => (name(), any::<bool>()).prop_map(|(name, bad)| {
            let hashed_password = if bad { "?" } else { "aGFzaA==" }.to_owned();
            Request::AuthUserChangePassword(pb::AuthUserChangePasswordRequest {
                name,
                hashed_password,
                ..Default::default()
            })
        }),
        3 => (name(), name()).prop_map(|(user, role)| {
            Request::AuthUserGrantRole(pb::AuthUserGrantRoleRequest { user, role })
        }),
        1 => (name(), name()).prop_map(|(name, role)| {
            Request::AuthUserRevokeRole(pb::AuthUserRevokeRoleRequest { name, role })
        }),
        2 => name().prop_map(|name| Request::AuthRoleAdd(pb::AuthRoleAddRequest { name })),
        1 => name().prop_map(|role| Request::AuthRoleDelete(pb::AuthRoleDeleteRequest { role })),
        3 => (name(), 0..4i32, key(), key()).prop_map(|(name, perm_type, key, range_end)| {
            let perm = Some(Permission { perm_type, key, range_end });
            Request::AuthRoleGrantPermission(pb::AuthRoleGrantPermissionRequest { name, perm })
        }),
        1 => (name(), key(), key()).prop_map(|(role, key, range_end)| {
            Request::AuthRoleRevokePermission(pb::AuthRoleRevokePermissionRequest { role, key, range_end })
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn rows_tell_the_whole_story_and_root_stays(commands in prop::collection::vec(command(), 1..60)) {
        let tokens = Arc::new(Tokens::open("simple", Duration::from_secs(300)).unwrap());
        let mut store = AuthStore::new(tokens.clone());
        let mut stored: BTreeMap<Bytes, Bytes> = BTreeMap::new();
        for (index, command) in commands.iter().enumerate() {
            let before = store.rules().clone();
            let mut rows = Vec::new();
            let answer = store.apply(command, LogIndex(index as u64), &mut rows).unwrap();
            prop_assert!(answer.is_ok() || rows.is_empty());
            prop_assert_eq!(rows.is_empty(), before == *store.rules(), "{:?}", command);
            let counted = !rows.is_empty() && !matches!(command, Request::AuthEnable(_));
            prop_assert_eq!(store.rules().revision(), before.revision() + u64::from(counted));
            for row in rows {
                match row.value {
                    Some(value) => stored.insert(row.key, value),
                    None => stored.remove(&row.key),
                };
            }
            let loaded = AuthStore::load(stored.clone(), tokens.clone()).unwrap();
            prop_assert_eq!(loaded.rules(), store.rules());
            prop_assert!(!store.rules().is_enabled() || store.rules().is_root("root"));
        }
    }

    #[test]
    fn tokens_and_options_of_any_text_are_no_panic(text in ".{0,60}") {
        let simple = Tokens::open("simple", Duration::from_secs(1)).unwrap();
        prop_assert!(simple.identify(&text, Duration::ZERO, 0, 1).is_err());
        let _ = simple.wait_for(&text);
        let _ = Tokens::open(&text, Duration::ZERO);
        let _ = Tokens::open(&format!("jwt,sign-method=HS256,ttl={text}"), Duration::ZERO);
    }
}
