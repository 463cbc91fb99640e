//! BNN-PYNQ parameter folders and `.npz` files.
