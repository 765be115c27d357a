//! Texts.

use super::with;

type Seeds = Vec<(&'static str, Vec<u8>)>;

pub(super) fn yaml() -> Seeds {
    let file = "name: one\ndata-dir: /var/lib/quorate\nlisten-client-urls: http://127.0.0.1:2379\n\
        advertise-client-urls: http://127.0.0.1:2379\nquota-backend-bytes: 1073741824\n\
        auto-compaction-mode: periodic\nauto-compaction-retention: 1h\nlog-outputs: [stderr]\n\
        feature-gates: CompactHashCheck=true\nstorage:\n  backend: memory\n";
    let secure = "client-transport-security:\n  cert-file: server.crt\n  key-file: server.key\n  client-cert-auth: \
        true\n  trusted-ca-file: ca.crt\npeer-transport-security: {auto-tls: true}\ncipher-suites:\n- \
        TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\nself-signed-cert-validity: 2\n\
        listen-client-urls: https://127.0.0.1:2379\nadvertise-client-urls: https://127.0.0.1:2379\n";
    vec![("plain", file.into()), ("secure", secure.into())]
}

pub(super) fn flags() -> Seeds {
    let cluster = "--name=one\n--initial-cluster\none=http://10.0.0.1:2380,two=http://10.0.0.2:2380\n\
        --initial-advertise-peer-urls=http://10.0.0.1:2380\n-initial-cluster-state=new\n--pre-vote\n\
        --snapshot-count=1000\nMAX_REQUEST_BYTES=2097152\nHEARTBEAT_INTERVAL=50\nELECTION_TIMEOUT=500";
    let others = "--cors=*\n--host-whitelist=a,b\n--metrics=extensive\n--strict-reconfig-check=false\n\
        --grpc-keepalive-min-time=5s\n--log-rotation-config-json={\"maxsize\": 1}\n--enable-log-rotation\n\
        --log-outputs=node.log\n--socket-reuse-port\n--bcrypt-cost=4\n--auth-token-ttl=60";
    vec![("cluster", cluster.into()), ("others", others.into())]
}

pub(super) fn json() -> Seeds {
    let compare = r#"{"compare":[{"key":"YQ==","target":"MOD","result":"GREATER","mod_revision":"0"}],"success":
        [{"requestPut":{"key":"YQ==","value":"Yg=="}}],"failure":[{"request_range":{"key":"YQ=="}}]}"#;
    vec![
        (
            "range",
            with(
                0,
                r#"{"key":"YQ==","rangeEnd":"eg==","limit":"10","sort_order":"DESCEND","keys_only":true}"#,
            ),
        ),
        (
            "put",
            with(1, r#"{"key":"YQ==","value":"Yg==","lease":7,"prevKv":false}"#),
        ),
        ("txn", with(2, compare)),
        (
            "watch",
            with(
                3,
                r#"{"create_request":{"key":"YQ==","filters":["NOPUT",1]}} {"cancel_request":{"watch_id":"1"}}"#,
            ),
        ),
        ("lease", with(4, r#"{"TTL":"60","ID":-1}"#)),
        (
            "permission",
            with(
                5,
                r#"{"name":"r","perm":{"permType":"READWRITE","key":"YQ==","range_end":"AA=="}}"#,
            ),
        ),
        (
            "member",
            with(
                6,
                "{\"peerURLs\":[\"http://a:1\",\"\\u00e4\\ud83d\\ude00\"],\"isLearner\":null}",
            ),
        ),
        (
            "alarm",
            with(
                7,
                r#"{"action":"GET","memberID":"18446744073709551615","alarm":"NONE"}"#,
            ),
        ),
    ]
}

pub(super) fn tokens() -> Seeds {
    vec![
        ("secret", with(0, "a secret of thirty-two bytes or more")),
        ("option", with(1, "simple")),
        (
            "claims",
            with(2, r#"{"username":"root","revision":5,"exp":4102444800,"nbf":0}"#),
        ),
        ("simple", with(5, "abcdefghijklmnop.12")),
        (
            "signed",
            with(5, crate::tokens::signed(br#"{"username":"root","revision":5}"#)),
        ),
    ]
}

pub(super) fn words() -> Seeds {
    let texts = [
        "one=http://10.0.0.1:2380,two=https://[::1]:2380,one=unix://socket:1",
        "http://[fe80::1]:2380",
        "3.7.1-rc.0+git",
        "unixs://127.0.0.1:2379",
        "http://a:1,https://b:2",
        "https://user@example.com:2379/path",
        "mod(\"key\\x00\\n\") > \"5\"",
        "put \"key\" 'value' --lease=1f",
        "\"\\u00e4\\x7f\\101\"",
        "1h2m3.5s4ms",
        "-127",
        "AllAlpha=true,CompactHashCheck=false",
        r#"{"maxsize": 100, "maxage": 0, "maxbackups": 3, "localtime": true, "compress": false}"#,
        "1h30m",
        "\u{e4}\u{2028}<script>",
        "TLS1.2\nTLS1.3\nTLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    ];
    let names = [
        "members",
        "url",
        "version",
        "address",
        "addresses",
        "endpoint",
        "compare",
        "operation",
        "quoted",
        "duration",
        "number",
        "features",
        "rotation",
        "setting",
        "json",
        "protocol",
    ];
    let inputs = texts
        .iter()
        .enumerate()
        .map(|(kind, text)| with(kind as u8, text));
    names.into_iter().zip(inputs).collect()
}
