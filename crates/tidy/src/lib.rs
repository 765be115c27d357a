//! What a machine can check, no reviewer should: see tests/it. Holds no code of the product.
