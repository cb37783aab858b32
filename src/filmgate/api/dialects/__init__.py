"""The wire dialects: being in this folder registers one."""
