"""Two folders of video, whoever made them: what ``vdmbench fvd`` measures. Here data and metrics meet without a suite."""

from vdmbench.folders.compare import compare_folders

__all__ = ["compare_folders"]
