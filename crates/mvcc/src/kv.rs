//! One version of a key.

use crate::{Error, Result};
use bytes::Bytes;
use model::EventKind;

/// A version of a key, taken apart; `encoded` is the `mvccpb.KeyValue` it came from, and all bytes share its memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kv {
    /// The key.
    pub key: Bytes,
    /// Revision that created the key.
    pub create: i64,
    /// Revision that wrote this version.
    pub modified: i64,
    /// 1 for the version that created the key.
    pub version: i64,
    /// The value.
    pub value: Bytes,
    /// Lease that the key is attached to, 0 for none.
    pub lease: i64,
    /// Wire form.
    pub encoded: Bytes,
}

impl Kv {
    /// Takes an encoded KeyValue apart, sharing its bytes. Fails if it is none.
    pub fn decode(encoded: Bytes) -> Result<Kv> {
        let fields = Fields::parse(&encoded)?;
        Ok(Kv {
            key: encoded.slice_ref(fields.key),
            create: fields.create,
            modified: fields.modified,
            version: fields.version,
            value: encoded.slice_ref(fields.value),
            lease: fields.lease,
            encoded: encoded.clone(),
        })
    }
}

/// The fields of a KeyValue.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Fields<'a> {
    pub key: &'a [u8],
    pub create: i64,
    pub modified: i64,
    pub version: i64,
    pub value: &'a [u8],
    pub lease: i64,
}

impl<'a> Fields<'a> {
    /// Whether a change with these fields creates the key, as etcd's clients tell it.
    pub fn is_creation(&self, kind: EventKind) -> bool {
        kind == EventKind::Put && self.create == self.modified
    }

    pub fn parse(kv: &'a [u8]) -> Result<Fields<'a>> {
        let mut input = Input(kv);
        let mut fields = Fields::default();
        while let Some((&tag, rest)) = input.0.split_first() {
            input.0 = rest;
            match tag {
                0x0a => fields.key = input.bytes()?,
                0x10 => fields.create = input.varint()? as i64,
                0x18 => fields.modified = input.varint()? as i64,
                0x20 => fields.version = input.varint()? as i64,
                0x2a => fields.value = input.bytes()?,
                0x30 => fields.lease = input.varint()? as i64,
                _ => return Err(unknown_field(tag)),
            }
        }
        Ok(fields)
    }
}

/// What keys-only answers hold of a version: neither value nor lease (etcd 3.7 builds them from its index). Those are
/// its last fields.
pub(crate) fn before_value(kv: &[u8]) -> Result<&[u8]> {
    let mut input = Input(kv);
    loop {
        let before = &kv[..kv.len() - input.0.len()];
        let Some((&tag, rest)) = input.0.split_first() else {
            return Ok(before);
        };
        input.0 = rest;
        match tag {
            0x0a => drop(input.bytes()?),
            0x10 | 0x18 | 0x20 => drop(input.varint()?),
            0x2a | 0x30 => return Ok(before),
            _ => return Err(unknown_field(tag)),
        }
    }
}

fn unknown_field(tag: u8) -> Error {
    Error::Damaged(format!("unknown field {tag:#x} in a stored version"))
}

/// A version without its value; the lease stays.
pub(crate) fn without_value(kv: &[u8]) -> Result<Bytes> {
    let fields = Fields::parse(kv)?;
    Ok(encode(&Fields { value: &[], ..fields }))
}

fn encode(fields: &Fields<'_>) -> Bytes {
    let Fields {
        key,
        create,
        modified,
        version,
        value,
        lease,
    } = *fields;
    model::encode_key_value(key, create, modified, version, value, lease)
}

/// Bytes being read.
pub(crate) struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for (place, byte) in self.0.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                self.0 = &self.0[place + 1..];
                return Ok(value);
            }
        }
        Err(Error::Damaged("a number in a stored record does not end".into()))
    }

    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        let len = self.varint()?;
        match usize::try_from(len)
            .ok()
            .and_then(|len| self.0.split_at_checked(len))
        {
            Some((bytes, rest)) => {
                self.0 = rest;
                Ok(bytes)
            }
            None => Err(Error::Damaged("a field of a stored record is cut short".into())),
        }
    }

    pub fn expect(&mut self, byte: u8) -> Result<()> {
        match self.0.split_first() {
            Some((found, rest)) if *found == byte => {
                self.0 = rest;
                Ok(())
            }
            _ => Err(Error::Damaged("a log record holds no event".into())),
        }
    }
}
