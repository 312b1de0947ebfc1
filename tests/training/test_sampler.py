from hfaudio.training import SeededSampler


def test_every_example_comes_once_with_a_seed_of_its_own() -> None:
    drawn = list(SeededSampler(100, seed=0))
    assert sorted(key.recording for key in drawn) == list(range(100))
    assert len({key.seed for key in drawn}) == 100
    assert len(SeededSampler(100, seed=0)) == 100


def test_order_and_seeds_follow_the_run_and_the_epoch() -> None:
    sampler = SeededSampler(20, seed=0)
    first = list(sampler)
    assert list(sampler) == first
    sampler.set_epoch(1)
    assert list(sampler) != first
    sampler.set_epoch(0)
    assert list(sampler) == first
    assert list(SeededSampler(20, seed=1)) != first


def test_examples_know_how_much_of_the_training_lies_behind_them() -> None:
    sampler = SeededSampler(4, seed=0, num_epochs=8)
    for epoch, expected in ((0, [0, 0.03, 0.06, 0.09]), (2, [0.25, 0.28, 0.31, 0.34]), (8, [1.0] * 4), (9, [1.0] * 4)):
        sampler.set_epoch(epoch)
        assert [key.progress for key in sampler] == expected


def test_what_grows_is_grown_in_a_single_epoch_too() -> None:
    progress = [key.progress for key in SeededSampler(1_000, seed=0, num_epochs=1)]
    assert progress == sorted(progress)
    assert (progress[0], progress[-1]) == (0.0, 0.99)
    assert len(set(progress)) == 100
