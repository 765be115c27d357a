//! Answers of a name server that is asked for SRV records.

use discovery::Resolver;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::runtime::Runtime;

/// For an answer that the resolver takes for none.
const PATIENCE: Duration = Duration::from_millis(5);

struct Asked {
    runtime: Runtime,
    server: UdpSocket,
    resolver: Resolver,
}

static ASKED: LazyLock<Mutex<Asked>> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().expect("a runtime");
    let server = runtime
        .block_on(UdpSocket::bind("127.0.0.1:0"))
        .expect("a socket");
    let mut connection = ConnectionConfig::udp();
    connection.port = server.local_addr().expect("a bound socket has an address").port();
    let known = NameServerConfig::new([127, 0, 0, 1].into(), true, vec![connection]);
    let config = ResolverConfig::from_name_servers(vec![known]);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let options = builder.options_mut();
    options.timeout = PATIENCE;
    options.attempts = 0;
    options.cache_size = 0;
    let resolver = Resolver::with(builder.build().expect("a resolver"));
    Mutex::new(Asked {
        runtime,
        server,
        resolver,
    })
});

/// The answer; number of the question, and the question itself where there is room, are made right.
pub(crate) fn run(data: &[u8]) -> bool {
    let asked = ASKED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let asking = asked.resolver.clients("example", "");
    let answering = async {
        let mut question = [0; 1500];
        while let Ok((len, client)) = asked.server.recv_from(&mut question).await {
            let question = &question[..len];
            let mut answer = question[..2].to_vec();
            match data.split_at_checked(10) {
                Some((head, records)) => {
                    answer.extend_from_slice(head);
                    answer.extend(question.get(12..len - 11).unwrap_or_default());
                    answer.extend_from_slice(records);
                }
                None => answer.extend_from_slice(data),
            }
            answer.truncate(1400);
            let _ = asked.server.send_to(&answer, client).await;
        }
    };
    asked.runtime.block_on(async {
        tokio::select! {
            records = asking => records.is_ok(),
            () = answering => false,
        }
    })
}
