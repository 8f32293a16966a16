"""Images as tensors: files, resampling, comparison, inpainting."""
