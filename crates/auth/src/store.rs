//! The replicated part: what applied commands change.

use crate::{Error, Row, Rules, Tokens};
use bytes::Bytes;
use model::{LogIndex, Rejection, Reply, Request};
use std::sync::Arc;

/// Users, roles and whether they count: the same on every member at the same applied index.
#[derive(Debug)]
pub struct AuthStore {
    rules: Arc<Rules>,
    tokens: Arc<Tokens>,
}

impl AuthStore {
    /// No users, authentication off, auth revision 1.
    pub fn new(tokens: Arc<Tokens>) -> AuthStore {
        let _ = tokens;
        todo!()
    }

    /// From the rows (key, value) of the auth family; none at all is a new store.
    pub fn load(
        rows: impl IntoIterator<Item = (Bytes, Bytes)>,
        tokens: Arc<Tokens>,
    ) -> Result<AuthStore, Error> {
        let _ = (rows.into_iter().count(), tokens);
        todo!()
    }

    /// What holds now. Published by the caller after each command that changed it ([`AuthStore::apply`] gave rows).
    pub fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// Where this member keeps its tokens.
    pub fn tokens(&self) -> &Arc<Tokens> {
        &self.tokens
    }

    /// Carries out a command about users, roles or authentication, already authorized; `None` for any other request.
    /// Rows to be written are added to `rows`. `index` is the command's place in the log: it becomes part of a simple
    /// token.
    pub fn apply(
        &mut self,
        request: &Request,
        index: LogIndex,
        rows: &mut Vec<Row>,
    ) -> Option<Result<Reply, Rejection>> {
        let _ = (request, index, rows);
        todo!()
    }
}
