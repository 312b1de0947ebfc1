from hfaudio.training import SeededSampler


def test_every_example_comes_once_with_a_seed_of_its_own() -> None:
    drawn = list(SeededSampler(100, seed=0))
    assert sorted(index for index, _ in drawn) == list(range(100))
    assert len({seed for _, seed in drawn}) == 100
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
