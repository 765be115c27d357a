//! Stories of leases, and a comparison with a model that is too simple to be wrong.

mod million;
mod model_check;
mod scripts;
