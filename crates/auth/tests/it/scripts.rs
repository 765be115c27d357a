//! Runs the scripts beside this directory: blocks of commands, `---`, and what they print. After a deliberate change
//! run with UPDATE_GOLDENFILES=1 and read the difference.

use auth::{AuthStore, NoLeases, Principal, Tokens};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use model::pb::authpb::permission::Type;
use model::pb::authpb::{Permission, UserAddOptions};
use model::pb::etcdserverpb as pb;
use model::{KeyRange, LogIndex, Rejection, Reply, Request};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A store and the rows that its caller would have stored. Commands come from nobody, unless `as` names somebody.
struct World {
    store: AuthStore,
    rows: BTreeMap<Bytes, Bytes>,
    index: u64,
    now: Duration,
}

impl World {
    fn new() -> World {
        let tokens = Tokens::open("simple", Duration::from_secs(300)).expect("tokens");
        World {
            store: AuthStore::new(Arc::new(tokens)),
            rows: BTreeMap::new(),
            index: 0,
            now: Duration::ZERO,
        }
    }

    fn run(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["as", user, ref rest @ ..] => {
                let rules = self.store.rules().clone();
                let who = Principal {
                    user,
                    revision: rules.revision(),
                };
                match rules.authorize(who, &request(rest), &NoLeases) {
                    Ok(()) => self.run(&rest.join(" ")),
                    Err(refused) => refused.to_string(),
                }
            }
            ["may", user, access, key] => self.may(user, access, key, ""),
            ["may", user, access, key, end] => self.may(user, access, key, end),
            ["at", seconds] => {
                self.now = Duration::from_secs(seconds.parse().expect("seconds"));
                "ok".into()
            }
            ["whose", token] => {
                let revision = self.store.rules().revision();
                match self.store.tokens().identify(token, self.now, 0, revision) {
                    Ok(identity) => format!("{} at revision {}", identity.user, identity.revision),
                    Err(refused) => refused.to_string(),
                }
            }
            ["credentials", user] => match self.store.rules().credentials(user) {
                Ok(found) => format!("{} at revision {}", found.hash.escape_ascii(), found.revision),
                Err(refused) => refused.to_string(),
            },
            ["rows"] => {
                let row = |(key, value): (&Bytes, &Bytes)| {
                    format!("\n  {} = {}", key.escape_ascii(), value.escape_ascii())
                };
                self.rows.iter().map(row).collect()
            }
            ["restart"] => {
                let before = self.store.rules().clone();
                let tokens = self.store.tokens().clone();
                self.store = AuthStore::load(self.rows.clone(), tokens).expect("rows");
                format!("same: {}", before == *self.store.rules())
            }
            _ => self.apply(&request(&words)),
        }
    }

    fn apply(&mut self, request: &Request) -> String {
        self.index += 1;
        let before = self.store.rules().revision();
        let mut rows = Vec::new();
        let answer = self
            .store
            .apply(request, LogIndex(self.index), &mut rows)
            .expect("an auth command");
        let written = rows.len();
        for row in rows {
            match row.value {
                Some(value) => self.rows.insert(row.key, value),
                None => self.rows.remove(&row.key),
            };
        }
        assert!(answer.is_ok() || written == 0, "a refusal must write nothing");
        let after = self.store.rules().revision();
        let revision = if after == before {
            String::new()
        } else {
            format!(", revision {after}")
        };
        show(answer) + &revision
    }

    fn may(&self, user: &str, access: &str, key: &str, end: &str) -> String {
        let rules = self.store.rules();
        let who = Principal {
            user: user.trim_matches('-'),
            revision: rules.revision(),
        };
        let range = KeyRange::new(bytes(key), bytes(end));
        let judged = match access {
            "read" => rules.require_read(who, &range),
            "write" => rules.require_write(who, &range),
            _ => panic!("unknown access {access:?}"),
        };
        judged.map_or_else(|refused| refused.to_string(), |()| "yes".into())
    }
}

/// `\0` stands for the zero byte.
fn bytes(text: &str) -> Bytes {
    text.replace("\\0", "\0").into()
}

fn request(words: &[&str]) -> Request {
    let own = |text: &str| text.to_owned();
    let permission = |access: &str, key: &str, end: &str| Permission {
        perm_type: match access {
            "read" => Type::Read.into(),
            "write" => Type::Write.into(),
            "readwrite" => Type::Readwrite.into(),
            other => other.parse().expect("a kind of permission"),
        },
        key: bytes(key),
        range_end: bytes(end),
    };
    match *words {
        ["enable"] => Request::AuthEnable(pb::AuthEnableRequest {}),
        ["disable"] => Request::AuthDisable(pb::AuthDisableRequest {}),
        ["status"] => Request::AuthStatus(pb::AuthStatusRequest {}),
        ["authenticate", name, letters] => Request::Authenticate(pb::InternalAuthenticateRequest {
            name: own(name),
            password: String::new(),
            simple_token: own(letters),
        }),
        ["user", "add", name] => Request::AuthUserAdd(pb::AuthUserAddRequest {
            name: own(name.trim_matches('-')),
            hashed_password: STANDARD.encode(format!("hash-of-{name}")),
            ..Default::default()
        }),
        ["user", "add", name, "no-password"] => Request::AuthUserAdd(pb::AuthUserAddRequest {
            name: own(name),
            options: Some(UserAddOptions { no_password: true }),
            ..Default::default()
        }),
        ["user", "delete", name] => Request::AuthUserDelete(pb::AuthUserDeleteRequest { name: own(name) }),
        ["user", "password", name, hash] => {
            Request::AuthUserChangePassword(pb::AuthUserChangePasswordRequest {
                name: own(name),
                password: String::new(),
                hashed_password: if hash == "bad" {
                    own("not base64!")
                } else {
                    STANDARD.encode(hash)
                },
            })
        }
        ["user", "grant", user, role] => Request::AuthUserGrantRole(pb::AuthUserGrantRoleRequest {
            user: own(user),
            role: own(role),
        }),
        ["user", "revoke", name, role] => Request::AuthUserRevokeRole(pb::AuthUserRevokeRoleRequest {
            name: own(name),
            role: own(role),
        }),
        ["user", "get", name] => Request::AuthUserGet(pb::AuthUserGetRequest { name: own(name) }),
        ["user", "list"] => Request::AuthUserList(pb::AuthUserListRequest {}),
        ["role", "add", name] => Request::AuthRoleAdd(pb::AuthRoleAddRequest {
            name: own(name.trim_matches('-')),
        }),
        ["role", "delete", role] => Request::AuthRoleDelete(pb::AuthRoleDeleteRequest { role: own(role) }),
        ["role", "get", role] => Request::AuthRoleGet(pb::AuthRoleGetRequest { role: own(role) }),
        ["role", "list"] => Request::AuthRoleList(pb::AuthRoleListRequest {}),
        ["role", "grant", name] => Request::AuthRoleGrantPermission(pb::AuthRoleGrantPermissionRequest {
            name: own(name),
            perm: None,
        }),
        ["role", "grant", name, access, ref keys @ ..] => {
            Request::AuthRoleGrantPermission(pb::AuthRoleGrantPermissionRequest {
                name: own(name),
                perm: Some(permission(
                    access,
                    keys.first().unwrap_or(&""),
                    keys.get(1).unwrap_or(&""),
                )),
            })
        }
        ["role", "revoke", role, key, ref end @ ..] => {
            Request::AuthRoleRevokePermission(pb::AuthRoleRevokePermissionRequest {
                role: own(role),
                key: bytes(key),
                range_end: bytes(end.first().unwrap_or(&"")),
            })
        }
        _ => panic!("unknown command {words:?}"),
    }
}

fn show(answer: Result<Reply, Rejection>) -> String {
    match answer {
        Err(refused) => refused.to_string(),
        Ok(Reply::AuthStatus(status)) => {
            format!("enabled: {}, revision {}", status.enabled, status.auth_revision)
        }
        Ok(Reply::Authenticate(reply)) => format!("token {}", reply.token),
        Ok(Reply::AuthUserGet(reply)) => format!("{:?}", reply.roles),
        Ok(Reply::AuthUserList(reply)) => format!("{:?}", reply.users),
        Ok(Reply::AuthRoleList(reply)) => format!("{:?}", reply.roles),
        Ok(Reply::AuthRoleGet(reply)) => {
            let mut out = String::from("[");
            for permission in &reply.perm {
                let (key, end) = (permission.key.escape_ascii(), permission.range_end.escape_ascii());
                let access = Type::try_from(permission.perm_type).map_or("?", |access| access.as_str_name());
                let _ = write!(out, "({access} {key} {end})");
            }
            out + "]"
        }
        Ok(_) => "ok".into(),
    }
}

fn run_script(script: &str) -> String {
    let mut world = World::new();
    let mut out = String::new();
    for block in script.split("\n\n") {
        let commands = block.split("\n---").next().unwrap_or(block).trim_end();
        let mut printed = String::new();
        for line in commands
            .lines()
            .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        {
            let _ = writeln!(printed, "{}", format!("{line} → {}", world.run(line)).trim_end());
        }
        let _ = write!(out, "{}\n---\n{printed}\n", commands.trim_start_matches('\n'));
    }
    format!("{}\n", out.trim_end())
}

#[test]
fn scripts_print_what_is_recorded() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut paths: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        let recorded = std::fs::read_to_string(&path).unwrap();
        let printed = run_script(&recorded);
        if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
            std::fs::write(&path, printed).unwrap();
        } else {
            assert_eq!(printed, recorded, "{}", path.display());
        }
    }
}
