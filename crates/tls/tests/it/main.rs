//! Handshakes between our own two sides and rustls's, in memory, with certificates that are made for each test.

mod handshakes;
mod pki;
mod reload;
mod self_signed;
