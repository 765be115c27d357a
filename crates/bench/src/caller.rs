//! Single calls that a workload needs beside its load, one after the other.

use crate::clock::Nanos;
use crate::http2::{Failure, Windows};
use crate::wire::{At, Load, Wire};
use crate::{Error, Result};
use prost::Message;

/// A connection for single calls.
pub struct Caller {
    wire: Wire,
}

impl Caller {
    /// Connects to one endpoint.
    pub fn connect(endpoint: &str) -> Result<Caller> {
        let wire = Wire::connect(&[endpoint.to_owned()], 1, Windows::WIDE)?;
        Ok(Caller { wire })
    }

    /// Calls and waits for the answer.
    pub fn call<R: Message + Default>(&mut self, path: &'static str, request: &impl Message) -> Result<R> {
        let mut answer = None;
        self.stream(path, request, |message| answer = Some(R::decode(message)))?;
        match answer {
            Some(Ok(response)) => Ok(response),
            _ => Err(Error::Malformed(path)),
        }
    }

    /// Calls, and hands over every message until the server ends the call.
    pub fn stream(
        &mut self,
        path: &'static str,
        request: &impl Message,
        each: impl FnMut(&[u8]),
    ) -> Result<()> {
        let mut call = Call {
            path,
            request: request.encode_to_vec(),
            each,
            end: None,
        };
        self.wire.run(&mut call, || false)?;
        match call.end {
            Some(Err(failure)) => Err(Error::Refused { path, failure }),
            _ => Ok(()),
        }
    }
}

struct Call<F> {
    path: &'static str,
    request: Vec<u8>,
    each: F,
    end: Option<std::result::Result<(), Failure>>,
}

impl<F: FnMut(&[u8])> Load for Call<F> {
    fn start(&mut self, wire: &mut Wire, _: Nanos) {
        wire.call(0, self.path, 0, &self.request, true);
    }

    fn message(&mut self, _: u64, message: &[u8], _: Nanos) {
        (self.each)(message);
    }

    fn proceed(&mut self, _: &mut Wire, _: At, end: Option<std::result::Result<(), Failure>>, _: Nanos) {
        if end.is_some() {
            self.end = end;
        }
    }

    fn due(&mut self, _: &mut Wire, _: Nanos) -> Option<Nanos> {
        None
    }

    fn finished(&self) -> bool {
        self.end.is_some()
    }
}
