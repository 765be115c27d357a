//! Leases: granted, hung on keys, kept alive for some time, then revoked or left to expire.

use super::{Client, Outcome};
use crate::call::{Call, Done};
use model::LeaseId;
use model::pb::etcdserverpb as pb;

/// A client that lives with one lease after the other.
pub async fn run(mut client: Client) {
    while !client.is_over() {
        let id = (client.rng.next() >> 16) as i64 | 1;
        let ttl = client.rng.within(1, 6) as i64;
        let grant = Call::Grant(pb::LeaseGrantRequest { ttl, id });
        let Outcome::Done(Done::Grant(id, ttl)) = client.call(grant).await else {
            client.sleep(50, 500).await;
            continue;
        };
        for _ in 0..client.rng.below(3) {
            let key = format!("k{}", client.rng.below(40)).into();
            let value = client.fresh_value();
            let put = pb::PutRequest {
                key,
                value,
                lease: id,
                ..Default::default()
            };
            client.call(Call::Put(put)).await;
        }
        // Some renewals, mostly in time.
        for _ in 0..client.rng.below(12) {
            let pause = ttl as u64 * 1000;
            client.sleep(pause / 10, pause * 6 / 10).await;
            match client.call(Call::KeepAlive(LeaseId(id))).await {
                Outcome::Done(Done::KeepAlive(0)) => break,
                Outcome::Done(_) if client.rng.percent(20) => {
                    let ask = pb::LeaseTimeToLiveRequest { id, keys: true };
                    client.call(Call::TimeToLive(ask)).await;
                }
                _ => {}
            }
            if client.is_over() {
                return;
            }
        }
        if client.rng.percent(40) {
            client.call(Call::Revoke(LeaseId(id))).await;
        } else if client.rng.percent(50) {
            client.sleep(ttl as u64 * 1000, ttl as u64 * 2000).await;
            client.call(Call::KeepAlive(LeaseId(id))).await;
        }
    }
}
