//! Stories of users, roles, tokens, and what each may do.

mod permissions;
mod random;
mod scripts;
mod tokens;
