"""First-person pictures of a grid of textured blocks, by casting one ray a pixel column.

The grid is walked square by square (Amanatides and Woo 1987, "A Fast Voxel Traversal Algorithm for Ray Tracing", section 2).
Textures are filtered bilinearly from an image pyramid (Williams 1983, "Pyramidal Parametrics"), and every pixel is the
mean of 2 x 2 samples, so that distant walls and the edges of near ones neither flicker nor stair-step.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float32, Float64, Int, UInt8

from vdmbench.data.compilation import compiled
from vdmbench.data.procedural.wall_textures import LEVELS, SIDE, pyramids

FIELD_OF_VIEW = math.radians(80.0)
_SAMPLES = 2  # a pixel's samples along each axis
_FOG = 0.16  # share of light lost to the haze per square walked
_SIDE_SHADE = 0.74  # faces that look east or west, so that corners read as corners


def render(
    path: Float64[np.ndarray, "frames 3"],
    blocks: Int[np.ndarray, "rows columns"],
    patterns: Int[np.ndarray, " styles"],
    colours: Float32[np.ndarray, "styles 2 3"],
    surroundings: Float32[np.ndarray, "4 3"],
    size: int,
) -> UInt8[np.ndarray, "frames size size 3"]:
    """Render one picture for each pose.

    Args:
        path: x, y in squares and heading in radians (0 looks along x, pi/2 along y), inside free squares.
        blocks: 0 where one can walk, else the wall's style, from 1 on; the border must be closed.
        patterns: texture of each style (style 1 first), an index into :func:`vdmbench.data.procedural.wall_textures.pyramids`.
        colours: the dark and the light colour of each style, 0 to 255.
        surroundings: colours of the floor's dark tiles, its light tiles, the ceiling, and the haze, 0 to 255.
        size: height and width in pixels.
    """
    out = np.empty((len(path), size, size, 3), np.uint8)
    _render(out, path, blocks.astype(np.int64), patterns.astype(np.int64), colours, surroundings, pyramids())
    return out


@compiled
def _render(out, path, blocks, patterns, colours, surroundings, textures):  # type: ignore[no-untyped-def]
    frames, size = out.shape[0], out.shape[1]
    fine = size * _SAMPLES
    half_plane = math.tan(FIELD_OF_VIEW / 2)
    focal = fine / 2 / half_plane  # in samples
    column = np.zeros((size, 3), np.float32)
    floor_dark, floor_light, ceiling, haze = surroundings[0], surroundings[1], surroundings[2], surroundings[3]
    share = np.float32(1.0 / (_SAMPLES * _SAMPLES))

    for frame in range(frames):
        x, y, heading = path[frame, 0], path[frame, 1], path[frame, 2]
        cosine, sine = math.cos(heading), math.sin(heading)
        for pixel in range(size):
            column[:] = 0
            for sample in range(_SAMPLES):
                # The ray through this column, scaled so that its length along the view is 1: what the walk measures is then
                # the depth, and straight walls stay straight.
                offset = (2 * (pixel * _SAMPLES + sample + 0.5) / fine - 1) * half_plane
                ray_x, ray_y = cosine - sine * offset, sine + cosine * offset

                # Amanatides and Woo, section 2: cross into whichever neighbouring square is nearer along the ray.
                square_x, square_y = int(x), int(y)
                step_x, step_y = (1 if ray_x > 0 else -1), (1 if ray_y > 0 else -1)
                stride_x = abs(1 / ray_x) if ray_x != 0 else 1e30
                stride_y = abs(1 / ray_y) if ray_y != 0 else 1e30
                next_x = ((square_x + 1 - x) if ray_x > 0 else (x - square_x)) * stride_x
                next_y = ((square_y + 1 - y) if ray_y > 0 else (y - square_y)) * stride_y
                depth, faces_x, style = 0.0, False, 0
                while style == 0:
                    if next_x < next_y:
                        depth, faces_x = next_x, True
                        next_x += stride_x
                        square_x += step_x
                    else:
                        depth, faces_x = next_y, False
                        next_y += stride_y
                        square_y += step_y
                    style = blocks[square_y, square_x]
                depth = max(depth, 1e-3)

                along = y + depth * ray_y if faces_x else x + depth * ray_x
                along -= math.floor(along)
                texels_a_sample = depth / focal * SIDE
                level = min(max(int(math.log2(max(texels_a_sample, 1.0)) + 0.5), 0), LEVELS - 1)
                side = SIDE >> level
                texture = textures[patterns[style - 1], level]
                tex_x = along * side - 0.5
                left = math.floor(tex_x)
                weight_x = np.float32(tex_x - left)
                left, right = left % side, (left + 1) % side

                clear = np.float32(math.exp(-_FOG * depth))
                light = np.float32(_SIDE_SHADE if faces_x else 1.0) * clear
                dark_colour, light_colour = colours[style - 1, 0], colours[style - 1, 1]
                half_height = focal / (2 * depth)

                for row in range(fine):
                    height = row + 0.5 - fine / 2  # below the horizon: positive
                    target = row // _SAMPLES
                    if abs(height) < half_height:
                        tex_y = (0.5 + height / (2 * half_height)) * side - 0.5
                        top = math.floor(tex_y)
                        weight_y = np.float32(tex_y - top)
                        top, bottom = max(top, 0), min(top + 1, side - 1)
                        upper = texture[top, left] + weight_x * (texture[top, right] - texture[top, left])
                        lower = texture[bottom, left] + weight_x * (texture[bottom, right] - texture[bottom, left])
                        tone = upper + weight_y * (lower - upper)
                        for channel in range(3):
                            colour = dark_colour[channel] + tone * (light_colour[channel] - dark_colour[channel])
                            column[target, channel] += haze[channel] * (1 - clear) + colour * light
                    else:
                        away = focal / (2 * abs(height))
                        open_air = np.float32(math.exp(-_FOG * away))
                        if height > 0:
                            # Tiles of half a square; their contrast fades before they are finer than a sample.
                            tile = (int(2 * (x + away * ray_x)) + int(2 * (y + away * ray_y))) & 1
                            contrast = np.float32(tile - 0.5) * np.float32(min(1.0, 0.15 * focal / (away * away)))
                            for channel in range(3):
                                colour = (floor_dark[channel] + floor_light[channel]) / 2 + contrast * (
                                    floor_light[channel] - floor_dark[channel]
                                )
                                column[target, channel] += haze[channel] + open_air * (colour - haze[channel])
                        else:
                            for channel in range(3):
                                column[target, channel] += haze[channel] + open_air * (ceiling[channel] - haze[channel])
            for row in range(size):
                for channel in range(3):
                    out[frame, row, pixel, channel] = np.uint8(min(max(column[row, channel] * share + 0.5, 0.0), 255.0))
