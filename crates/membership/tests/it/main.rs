//! Stories of clusters that change, and random changes against what must always hold.

mod random;
mod scripts;
