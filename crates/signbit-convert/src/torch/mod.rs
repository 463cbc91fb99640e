//! PyTorch state dicts in `.safetensors` files.
