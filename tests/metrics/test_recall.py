from __future__ import annotations

import pytest
import torch

from vdmbench.data.procedural.maze import Maze
from vdmbench.metrics.recall import revisit_recall
from vdmbench.metrics.video import InvalidVideo

KNOWN, FRAMES = 20, 40  # a circuit of this maze takes 32 frames


@pytest.fixture(scope="module")
def walks():
    """Walks through mazes that come back to where they have been, with the pairs that say when."""
    maze = Maze(split="test", frames=FRAMES, size=16, rooms=2, frames_per_square=4)
    found = []
    for index in range(4):
        video = torch.from_numpy(maze.clip(index, 0, FRAMES)).permute(0, 3, 1, 2)
        found.append((video, torch.from_numpy(maze.revisits(index, 0, FRAMES))))
    assert sum(int((pairs[:, 1] >= KNOWN).sum()) for _, pairs in found) > 20
    return found


def test_a_perfect_memory_is_right_at_every_revisit(walks):
    recall = revisit_recall([(true, true, pairs) for true, pairs in walks], known=KNOWN)
    assert recall.psnr == recall.novel_psnr == recall.consistency == 100
    assert recall.revisits == sum(int((pairs[:, 1] >= KNOWN).sum()) for _, pairs in walks)
    assert set(recall.by_gap.values()) == {100}
    assert (recall.gain, recall.interval) == (0, (0, 0))


def test_what_remembers_is_told_from_what_forgets(walks):
    def predict(true, pairs, *, remembers):
        """Grey wherever nothing is known; at a revisit, the first visit's frame for one that remembers."""
        guess = torch.cat([true[:KNOWN], torch.full_like(true[KNOWN:], 128)])
        for earlier, later in pairs.tolist():
            if remembers and earlier < KNOWN <= later:
                guess[later] = true[earlier]
        return guess

    remembering, forgetting = (
        revisit_recall([(predict(true, pairs, remembers=mind), true, pairs) for true, pairs in walks], known=KNOWN)
        for mind in (True, False)
    )
    assert remembering.psnr > forgetting.psnr + 6
    assert remembering.psnr > remembering.novel_psnr + 6
    assert forgetting.psnr == pytest.approx(forgetting.novel_psnr, abs=2)
    assert remembering.consistency > forgetting.consistency + 6
    assert remembering.novel_psnr == pytest.approx(forgetting.novel_psnr)
    assert remembering.interval[0] > forgetting.interval[1]
    assert remembering.interval[0] < remembering.gain < remembering.interval[1]


def test_a_return_to_what_was_itself_predicted_counts_for_consistency_alone():
    """Nobody could know what the first visit should have looked like."""
    true = torch.randint(0, 256, (6, 3, 8, 8), dtype=torch.uint8)
    true[5], true[4] = true[3], true[1]
    predicted = true.clone()
    predicted[3] = predicted[5] = 0
    recall = revisit_recall([(predicted, true, torch.tensor([[1, 4], [3, 5]]))], known=2)
    assert (recall.revisits, recall.psnr, recall.by_gap) == (1, 100, {4: 100})
    assert recall.consistency == 100
    expected = -10 * torch.log10(((true[2:4].double() - predicted[2:4].double()) / 255).square().mean())
    assert recall.novel_psnr == pytest.approx(float(expected))
    assert recall.interval is None  # one clip


def test_without_a_revisit_there_is_nothing_to_recall():
    clip = torch.zeros(4, 3, 8, 8, dtype=torch.uint8)
    recall = revisit_recall([(clip, clip, torch.zeros(0, 2, dtype=torch.long))], known=2)
    assert (recall.revisits, recall.psnr, recall.consistency, recall.novel_psnr) == (0, None, None, 100)
    with pytest.raises(InvalidVideo, match=r"predicted clip is \(3, 3, 8, 8\)"):
        revisit_recall([(clip[:3], clip, torch.zeros(0, 2, dtype=torch.long))], known=2)
