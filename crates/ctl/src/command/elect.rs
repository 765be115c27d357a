//! `elect`

use super::lock::interrupted;
use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::print::Report;
use clap::Args;
use client::pb::etcdserverpb::{RangeRequest, RangeResponse};
use client::{Election, Observer, Session};
use prost::Message;

/// What etcdctl's sessions live without renewal, in seconds.
const SESSION_TTL: i64 = 60;

#[derive(Args, Debug)]
pub struct Flags {
    /// name of the election, and what to proclaim
    args: Vec<String>,
    /// follow the leaders
    #[arg(short, long)]
    listen: bool,
}

pub async fn run(context: &Context, flags: Flags) -> Result {
    match (&flags.args[..], flags.listen) {
        ([name], true) => observe(context, name).await,
        ([_], false) => Err(Failure::arguments("no proposal argument but -l not set")),
        ([name, proposal], false) => campaign(context, name, proposal).await,
        ([_, _], true) => Err(Failure::arguments("proposal given but -l is set")),
        _ => Err(Failure::arguments(
            "elect takes one election name argument and an optional proposal argument",
        )),
    }
}

async fn observe(context: &Context, name: &str) -> Result {
    let client = context.patient_client().await?;
    let mut observer = Observer::new(&client, name);
    loop {
        let (header, kv) = tokio::select! {
            next = observer.next() => next.map_err(|_| Failure::error("elect: observer lost"))?,
            signal = interrupted() => return signal,
        };
        let response = RangeResponse {
            header: Some(header),
            kvs: vec![kv.encode_to_vec().into()],
            ..Default::default()
        };
        context.print(Report::Get(&response))?;
    }
}

async fn campaign(context: &Context, name: &str, proposal: &str) -> Result {
    let client = context.patient_client().await?;
    let session = Session::begin(&client, SESSION_TTL).await?;
    let election = tokio::select! {
        election = Election::campaign(&session, name, proposal.to_owned().into()) => election?,
        signal = interrupted() => {
            signal?;
            session.close().await?;
            return Err(Failure::error("context canceled"));
        }
    };
    let request = RangeRequest {
        key: election.key().clone(),
        ..Default::default()
    };
    let response = client.range(request).await?;
    context.print(Report::Get(&response))?;
    tokio::select! {
        signal = interrupted() => {
            signal?;
            Ok(election.resign().await?)
        }
        () = session.expired() => Err(Failure::error("elect: session expired")),
    }
}
