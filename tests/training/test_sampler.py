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
    for epoch in (0, 2, 8, 9):
        sampler.set_epoch(epoch)
        assert {key.progress for key in sampler} == {min(1.0, epoch / 8)}
