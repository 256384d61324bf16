"""GPU memory without a GPU: a stand-in CUDA device, the storages that live on it, and CUDA's caching allocator as a model."""
