//! Mutations of bytes, without any help of the compiler: the same seed makes the same ones.

/// Numbers at which decoders stumble.
const NUMBERS: &[u64] = &[
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    i64::MAX as u64,
    i64::MIN as u64,
    u64::MAX,
];

/// Changes inputs at random.
pub struct Mutator {
    state: u64,
    bytes_max: usize,
}

impl Mutator {
    /// What it makes has at most `bytes_max` bytes.
    pub fn new(seed: u64, bytes_max: usize) -> Mutator {
        // Of zero, xorshift would make nothing but zeros.
        let state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Mutator { state, bytes_max }
    }

    /// A number below `limit`; 0 where that is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) as usize % limit.max(1)
    }

    /// One of `inputs` after some changes; `inputs` must not be empty.
    pub fn of(&mut self, inputs: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = inputs[self.below(inputs.len())].clone();
        // Mostly few: with many nothing sound is left.
        let changes = 1 + self.below(4) * self.below(3);
        for _ in 0..changes {
            let other = self.below(inputs.len());
            self.change(&mut bytes, &inputs[other]);
        }
        bytes.truncate(self.bytes_max);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(bytes.len());
        match self.below(11) {
            0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            1 if at < bytes.len() => bytes[at] = self.below(256) as u8,
            2 if at < bytes.len() => bytes[at] = bytes[at].wrapping_add(self.below(7) as u8).wrapping_sub(3),
            3 => bytes.truncate(at),
            4 => {
                let end = at + self.below(bytes.len() - at.min(bytes.len()));
                bytes.drain(at..end);
            }
            // A part of itself once more, or one of another input.
            5 => {
                let part = self.part(&bytes.clone());
                bytes.splice(at..at, part);
            }
            6 => {
                let part = self.part(other);
                bytes.splice(at..at, part);
            }
            7 => {
                let part = self.part(other);
                let end = bytes.len().min(at + part.len());
                bytes.splice(at..end, part);
            }
            8 => {
                let number = self.number();
                let width = 1 << self.below(4);
                let little = self.below(2) == 0;
                let bytes_of = if little {
                    number.to_le_bytes()
                } else {
                    number.to_be_bytes()
                };
                let part = if little {
                    &bytes_of[..width]
                } else {
                    &bytes_of[8 - width..]
                };
                let end = bytes.len().min(at + width);
                bytes.splice(at..end, part.iter().copied());
            }
            9 => {
                let mut part = Vec::new();
                crate::wire::put_varint(&mut part, self.number());
                let end = bytes.len().min(at + 1);
                bytes.splice(at..end, part);
            }
            _ => {
                let part = self.number().to_string();
                let end = at
                    + bytes[at..]
                        .iter()
                        .take_while(|byte| byte.is_ascii_digit())
                        .count();
                bytes.splice(at..end, part.into_bytes());
            }
        }
    }

    fn number(&mut self) -> u64 {
        let number = NUMBERS[self.below(NUMBERS.len())];
        number.wrapping_add(self.below(3) as u64).wrapping_sub(1)
    }

    fn part(&mut self, of: &[u8]) -> Vec<u8> {
        let start = self.below(of.len());
        let length = 1 + self.below((of.len() - start).min(64));
        of[start..].iter().take(length).copied().collect()
    }
}
