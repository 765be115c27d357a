//! Callbacks that are called in any case: if nobody answers them, because the engine stopped, their drop does.

use crate::{ReadCallback, ReadError, TransferCallback, TransferError};

/// Somebody waiting for a read index.
pub(crate) struct Reader(Option<ReadCallback>);

impl Reader {
    pub fn new(callback: ReadCallback) -> Self {
        Self(Some(callback))
    }

    pub fn answer(mut self, answer: Result<u64, ReadError>) {
        if let Some(callback) = self.0.take() {
            callback(answer);
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(callback) = self.0.take() {
            callback(Err(ReadError::Stopped));
        }
    }
}

/// Somebody waiting for a transfer of leadership.
pub(crate) struct Transferrer(Option<TransferCallback>);

impl Transferrer {
    pub fn new(callback: TransferCallback) -> Self {
        Self(Some(callback))
    }

    pub fn answer(mut self, answer: Result<(), TransferError>) {
        if let Some(callback) = self.0.take() {
            callback(answer);
        }
    }
}

impl Drop for Transferrer {
    fn drop(&mut self) {
        if let Some(callback) = self.0.take() {
            callback(Err(TransferError::Stopped));
        }
    }
}
