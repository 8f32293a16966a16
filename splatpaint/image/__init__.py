"""Pictures as tensors: files, resampling, comparisons."""
