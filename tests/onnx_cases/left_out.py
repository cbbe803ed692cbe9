"""The cases whose operators are covered and which nevertheless are not run, grouped by the reason.

Each is tried all the same: one that passes does not belong here, and fails the test.
"""

from __future__ import annotations

__all__ = ["LEFT_OUT"]

LEFT_OUT: dict[str, tuple[str, ...]] = {
    "three dimensions: tinynn has images and no volumes": (
        "node/test_averagepool_3d_default",
        "node/test_averagepool_3d_dilations_large_count_include_pad_is_0_ceil_mode_is_False",
        "node/test_averagepool_3d_dilations_large_count_include_pad_is_0_ceil_mode_is_True",
        "node/test_averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_False",
        "node/test_averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_True",
        "node/test_averagepool_3d_dilations_small",
        "node/test_maxpool_3d_default",
        "node/test_maxpool_3d_dilations",
        "node/test_maxpool_3d_dilations_use_ref_impl",
        "node/test_maxpool_3d_dilations_use_ref_impl_large",
        "pytorch-converted/test_AvgPool3d",
        "pytorch-converted/test_AvgPool3d_stride",
        "pytorch-converted/test_AvgPool3d_stride1_pad0_gpu_input",
        "pytorch-converted/test_Conv3d",
        "pytorch-converted/test_Conv3d_dilated",
        "pytorch-converted/test_Conv3d_dilated_strided",
        "pytorch-converted/test_Conv3d_groups",
        "pytorch-converted/test_Conv3d_no_bias",
        "pytorch-converted/test_Conv3d_stride",
        "pytorch-converted/test_Conv3d_stride_padding",
        "pytorch-converted/test_MaxPool3d",
        "pytorch-converted/test_MaxPool3d_stride",
        "pytorch-converted/test_MaxPool3d_stride_padding",
    ),
    "images made smaller, or larger by a fraction: Upsample2D repeats pixels a whole number of times": (
        "node/test_resize_downsample_scales_nearest",
        "node/test_resize_downsample_sizes_nearest",
        "node/test_resize_downsample_sizes_nearest_not_larger",
        "node/test_resize_downsample_sizes_nearest_not_smaller",
        "node/test_resize_upsample_sizes_nearest",
        "node/test_resize_upsample_sizes_nearest_axes_2_3",
        "node/test_resize_upsample_sizes_nearest_axes_3_2",
        "node/test_resize_upsample_sizes_nearest_not_larger",
    ),
    "another pixel taken for the nearest, so that not each is repeated equally often": (
        "node/test_resize_upsample_sizes_nearest_ceil_half_pixel",
        "node/test_resize_upsample_sizes_nearest_floor_align_corners",
        "node/test_resize_upsample_sizes_nearest_round_prefer_ceil_asymmetric",
    ),
    "values that are no arrays: a sequence of them, or perhaps none": (
        "node/test_identity_opt",
        "node/test_identity_sequence",
    ),
    "an array without any numbers": ("node/test_reshape_allowzero_reordered",),
    "a mask from NumPy's random generator: Dropout has masks of its own": (
        "node/test_training_dropout",
        "node/test_training_dropout_default",
        "node/test_training_dropout_default_mask",
        "node/test_training_dropout_mask",
    ),
    "an index that counts from the end: to Embedding that is a mistake": ("node/test_gather_negative_indices",),
    "bounds not in their order: Clip refuses them": ("node/test_clip_min_greater_than_max",),
    "Add joins at least two inputs": ("node/test_sum_one_input",),
}
