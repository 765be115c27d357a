//! Stories of users, roles, tokens, and what each may do.

mod permissions;
mod scripts;
mod tokens;
