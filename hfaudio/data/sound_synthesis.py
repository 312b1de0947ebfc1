"""Ten classes of everyday sound, synthesised from a seed.

Pitch, rhythm, timbre, level, background noise, room, length,
sampling rate and number of channels vary from clip to clip, and some classes overlap on purpose (siren and alarm,
engine and drill, rain and wind, bird and bell), so there is something to learn. A score on these clips says nothing
about real recordings.
"""

import math
from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt
from scipy import fft, signal, special

__all__ = ["SYNTHETIC_CLASSES", "synthesize_clip"]

Waveform = npt.NDArray[np.float64]

_RATES_HZ = (8000, 11025, 16000, 22050, 32000, 44100, 48000)
_LENGTH_S = (0.5, 4.0)
_LEVEL_DBFS = (-30.0, -3.0)
_SNR_DB = (5.0, 40.0)
# Nothing is synthesised above this share of the sampling rate, so that nothing aliases.
_HIGHEST = 0.45

# First three formants of the vowels in "heed", "head", "had", "hod" and "who'd".
_VOWELS_HZ = ((270, 2290, 3010), (530, 1840, 2480), (660, 1720, 2410), (730, 1090, 2440), (300, 870, 2240))
# Partials of a church bell relative to its prime: hum, prime, tierce, quint, nominal and three above.
_BELL_PARTIALS = (0.5, 1.0, 1.2, 1.5, 2.0, 2.67, 3.0, 4.1)


def _phase(frequency: Waveform, rate: int) -> Waveform:
    """Integrate an instantaneous frequency in Hz to a phase in radians."""
    return 2 * np.pi * np.cumsum(frequency) / rate


def _slow_curve(rng: np.random.Generator, samples: int, rate: int, knots_hz: float) -> Waveform:
    """Draw a curve that wanders in [-1, 1], with a new direction `knots_hz` times a second."""
    knots = rng.uniform(-1, 1, size=math.ceil(samples / rate * knots_hz) + 2)
    return np.interp(np.arange(samples) * knots_hz / rate, np.arange(knots.size), knots)


def _harmonic_tone(fundamental: Waveform, rate: int, amplitudes: Iterable[float]) -> Waveform:
    """Add up harmonics of a moving fundamental (Hz per sample), leaving out those that would alias."""
    phase = _phase(fundamental, rate)
    tone = np.zeros_like(phase)
    for number, amplitude in enumerate(amplitudes, start=1):
        if number * fundamental.max() < _HIGHEST * rate:
            tone += amplitude * np.sin(number * phase)
    return tone


def _pulse_train(fundamental: Waveform, rate: int) -> Waveform:
    """Make a pulse train whose harmonics are equally strong and all lie below the Nyquist frequency."""
    harmonics = int(_HIGHEST * rate / fundamental.max())
    order = 2 * harmonics + 1
    # The Dirichlet kernel is the closed form of a sum of cosines; the constant term is its mean.
    return special.diric(_phase(fundamental, rate), order) - 1 / order


def _unit(sound: Waveform) -> Waveform:
    """Scale to unit RMS; silence stays silence."""
    return sound / (sound.std() + 1e-12)


def _coloured_noise(rng: np.random.Generator, samples: int, rate: int, exponent: float) -> Waveform:
    """Make noise with power falling as 1/f**exponent: 0 is white, 1 pink, 2 brown. Unit RMS."""
    size = fft.next_fast_len(samples, real=True)
    # Flat below 40 Hz, where few loudspeakers and microphones reach: brown noise would be all rumble otherwise.
    frequency = np.maximum(fft.rfftfreq(size, 1 / rate), 40.0)
    spectrum = fft.rfft(rng.standard_normal(size)) * frequency ** (-exponent / 2)
    return _unit(fft.irfft(spectrum, size)[:samples])


def _band(sound: Waveform, low: float, high: float, rate: int) -> Waveform:
    """Keep the band from `low` to `high` Hz."""
    edges = (low, min(high, _HIGHEST * rate))
    return signal.sosfilt(signal.butter(2, edges, "bandpass", fs=rate, output="sos"), sound)


def _band_noise(rng: np.random.Generator, samples: int, rate: int, low: float, high: float) -> Waveform:
    """Make noise in the band from `low` to `high` Hz with unit RMS."""
    return _unit(_band(rng.standard_normal(samples), low, high, rate))


def _fade(sound: Waveform, rate: int, attack_s: float, release_s: float) -> Waveform:
    """Ramp the beginning up and the end down in straight lines."""
    time = np.arange(sound.size) / rate
    return sound * np.minimum(1, time / attack_s) * np.minimum(1, time[::-1] / release_s)


def _mix_in(track: Waveform, sound: Waveform, start: int) -> None:
    """Add `sound` to `track` in place from sample `start`, cutting off what does not fit."""
    end = min(track.size, start + sound.size)
    track[start:end] += sound[: end - start]


def _siren(rng: np.random.Generator, samples: int, rate: int) -> Waveform:
    """Wail, yelp or two-tone horn: one unbroken tone whose pitch keeps moving."""
    style = rng.choice(("wail", "yelp", "two-tone"))
    cycles_hz = rng.uniform(*{"wail": (0.3, 1.0), "yelp": (1.5, 5.0), "two-tone": (0.6, 1.5)}[style])
    cycle = np.sin(2 * np.pi * (cycles_hz * np.arange(samples) / rate + rng.random()))
    if style == "two-tone":
        cycle = np.tanh(rng.uniform(4, 12) * cycle)
    low, octaves = rng.uniform(350, 1000), rng.uniform(0.3, 1.1)
    fundamental = low * 2 ** (octaves * (0.5 + 0.5 * cycle))
    return _harmonic_tone(fundamental, rate, rng.uniform(0.3, 0.9) ** np.arange(6))


def _alarm(rng: np.random.Generator, samples: int, rate: int) -> Waveform:
    """Beeper, rising chirps or alternating tones: pitch and loudness switch in a fast fixed rhythm."""
    style = rng.choice(("beeps", "chirps", "alternating"))
    period_s, duty = rng.uniform(0.12, 0.55), rng.uniform(0.35, 0.75)
    cycle = (np.arange(samples) / rate / period_s + rng.random()) % 1
    fundamental = np.full(samples, rng.uniform(500, 2100))
    gate = np.clip(np.minimum(cycle, duty - cycle) * period_s / 0.004, 0, 1)
    if style == "chirps":
        fundamental *= 2 ** (rng.uniform(0.2, 0.6) * np.minimum(1, cycle / duty))
    if style == "alternating":
        fundamental *= np.where(cycle < 0.5, 1.0, rng.uniform(0.7, 0.9))
        gate = np.ones(samples)
    return gate * _harmonic_tone(fundamental, rate, rng.uniform(0.3, 0.9) ** np.arange(6))


def _engine(rng: np.random.Generator, samples: int, rate: int) -> Waveform:
    """Low pulses of the cylinders firing, uneven from one to the next, under exhaust noise."""
    speed = 1 + rng.uniform(0.02, 0.35) * _slow_curve(rng, samples, rate, knots_hz=1.0)
    firing_hz = rng.uniform(25, 140) * speed
    unevenness = rng.uniform(0, 0.6) * np.sin(_phase(firing_hz, rate) / rng.integers(2, 5))
    pulses = _unit(_band(_pulse_train(firing_hz, rate), 30, rng.uniform(250, 2000), rate))
    exhaust = _band_noise(rng, samples, rate, 60, rng.uniform(400, 2500))
    return (1 + unevenness) * (pulses + rng.uniform(0.1, 0.9) * exhaust)


def _drill(rng: np.random.Generator, samples: int, rate: int) -> Waveform:
    """Buzz of a fast motor that spins up and bogs down, with grinding noise and sometimes a hammer action."""
    time = np.arange(samples) / rate
    spin_up = 1 - rng.uniform(0, 0.7) * np.exp(-time / rng.uniform(0.05, 0.3))
    load = 1 + rng.uniform(0.01, 0.12) * _slow_curve(rng, samples, rate, knots_hz=3.0)
    motor_hz = rng.uniform(90, 350) * spin_up * load
    low, high = rng.uniform(100, 900), rng.uniform(1500, 4000)
    buzz = _unit(_band(_pulse_train(motor_hz, rate), low, high, rate))
    grinding = _band_noise(rng, samples, rate, low, high) * (1 + 0.7 * np.sin(_phase(motor_hz, rate)))
    sound = buzz + rng.uniform(0.1, 0.6) * grinding
    if rng.random() < 0.4:
        sound *= 1 + rng.uniform(0.4, 0.9) * np.sin(2 * np.pi * rng.uniform(12, 40) * time)
    return sound


def _knock(rng: np.random.Generator, samples: int, rate: int) -> Waveform:
    """Groups of raps on a panel: a click and a few strongly damped modes."""
    time = np.arange(round(0.25 * rate)) / rate
    rap = rng.uniform(0.05, 0.5) * rng.standard_normal(time.size) * np.exp(-time / rng.uniform(0.001, 0.006))
    for _ in range(rng.integers(2, 5)):
        mode_hz, decay_s = rng.uniform(120, 1400), rng.uniform(0.006, 0.04)
        rap += rng.uniform(0.3, 1) * np.sin(2 * np.pi * mode_hz * time) * np.exp(-time / decay_s)
    track = np.zeros(samples)
    interval_s, group, start_s = rng.uniform(0.09, 0.4), rng.integers(2, 6), 0.0
    while start_s * rate < samples:
        for _ in range(group):
            start = round(start_s * rate)
            if start < samples:
                _mix_in(track, rng.uniform(0.5, 1) * rap, start)
            start_s += interval_s * rng.uniform(0.85, 1.15)
        start_s += rng.uniform(0.3, 1.2)
    return track


def _rain(rng: np.random.Generator, samples: int, rate: int) -> Waveform:
    """Steady hiss with single drops in it, from drizzle on a roof to a downpour."""
    drops = (rng.random(samples) < 10 ** rng.uniform(1.3, 2.8) / rate) * rng.lognormal(0, 0.8, samples)
    surface_hz = rng.uniform(500, 2500)
    drops = _unit(_band(drops, surface_hz, surface_hz * rng.uniform(1.3, 2.5), rate))
    hiss = _band_noise(rng, samples, rate, rng.uniform(150, 1200), rng.uniform(2500, 7000))
    steadiness = 1 + 0.3 * _slow_curve(rng, samples, rate, knots_hz=1.0)
    return steadiness * (hiss + rng.uniform(0.3, 1.5) * drops)


def _bird(rng: np.random.Generator, samples: int, rate: int) -> Waveform:
    """A song of short, quickly gliding whistles."""
    notes = []
    for _ in range(rng.integers(1, 4)):
        time = np.linspace(0, 1, round(rng.uniform(0.04, 0.25) * rate))
        pitch_hz = rng.uniform(1400, 2600) * 2 ** (rng.uniform(-0.6, 0.6) * time ** rng.uniform(0.5, 2))
        warble = 1 + rng.uniform(0, 0.06) * np.sin(2 * np.pi * rng.uniform(1, 8) * time)
        whistle = _harmonic_tone(np.minimum(pitch_hz * warble, 3500), rate, (1, rng.uniform(0, 0.3)))
        attack = rng.uniform(0.05, 0.5)
        notes.append(whistle * np.minimum(time / attack, (1 - time) / (1 - attack)))
    track = np.zeros(samples)
    gap_s, start, count = rng.uniform(0.02, 0.25), 0, 0
    while start < samples:
        note = notes[count % len(notes)]
        _mix_in(track, rng.uniform(0.4, 1) * note, start)
        start += note.size + round(gap_s * rng.uniform(0.7, 1.3) * rate)
        count += 1
    return track


def _bell(rng: np.random.Generator, samples: int, rate: int) -> Waveform:
    """Strikes of a church bell or a hand bell: inharmonic partials, the high ones dying away first."""
    prime_hz, decay_s = rng.uniform(250, 1400), rng.uniform(0.1, 1.2)
    time = np.arange(samples) / rate
    strike = np.zeros(samples)
    for ratio in _BELL_PARTIALS:
        partial_hz = prime_hz * ratio * rng.uniform(0.98, 1.02)
        if partial_hz < _HIGHEST * rate:
            envelope = np.exp(-time * ratio**0.7 / decay_s)
            strike += rng.uniform(0.1, 1) * envelope * np.sin(2 * np.pi * (partial_hz * time + rng.random()))
    strike = _fade(strike, rate, attack_s=0.002, release_s=0.002)
    track = np.zeros(samples)
    interval_s = rng.uniform(0.1, 0.2) if rng.random() < 0.25 else rng.uniform(0.3, 1.5)
    for start in range(0, samples, round(interval_s * rate)):
        _mix_in(track, rng.uniform(0.5, 1) * strike, start)
    return track


def _speech(rng: np.random.Generator, samples: int, rate: int) -> Waveform:
    """Babbled syllables: a voice with an intonation, shaped by vowel formants and broken by fricatives."""
    intonation = 1 + rng.uniform(0.05, 0.25) * _slow_curve(rng, samples, rate, knots_hz=3.0)
    voice = _pulse_train(rng.uniform(80, 260) * intonation, rate)
    vocal_tract, start = rng.uniform(0.95, 1.2), 0
    track = np.zeros(samples)
    while start < samples:
        syllable = voice[start : start + round(rng.uniform(0.1, 0.35) * rate)]
        vowel = np.zeros_like(syllable)
        for order, formant_hz in enumerate(_VOWELS_HZ[rng.integers(len(_VOWELS_HZ))]):
            b, a = signal.iirpeak(formant_hz * vocal_tract, Q=8, fs=rate)
            vowel += signal.lfilter(b, a, syllable) * 0.5**order
        _mix_in(track, _fade(_unit(vowel), rate, 0.03, 0.05) * rng.uniform(0.5, 1), start)
        start += syllable.size
        if rng.random() < 0.5:
            low = rng.uniform(1200, 2800)
            fricative = _band_noise(rng, round(rng.uniform(0.04, 0.12) * rate), rate, low, 2.5 * low)
            _mix_in(track, _fade(fricative, rate, 0.02, 0.02) * rng.uniform(0.1, 0.5), min(start, samples))
            start += fricative.size
        if rng.random() < 0.2:
            start += round(rng.uniform(0.05, 0.3) * rate)
    return track


def _wind(rng: np.random.Generator, samples: int, rate: int) -> Waveform:
    """Gusts of broad noise that get brighter as they get louder, sometimes whistling."""
    gust = (0.5 + 0.5 * _slow_curve(rng, samples, rate, knots_hz=rng.uniform(0.8, 3.0))) ** rng.uniform(0.7, 2)
    rumble = _coloured_noise(rng, samples, rate, exponent=rng.uniform(1.0, 2.2))
    rustle = _band_noise(rng, samples, rate, rng.uniform(150, 700), rng.uniform(1000, 4500))
    sound = (0.2 + gust) * rumble + rng.uniform(0.1, 1.2) * gust**2 * rustle
    if rng.random() < 0.4:
        whistle_hz = rng.uniform(300, 1000) * 2 ** (0.8 * gust)
        flutter = _band_noise(rng, samples, rate, 2, 30)
        sound += rng.uniform(0.2, 1) * gust * flutter * np.sin(_phase(whistle_hz, rate))
    return sound


_GENERATORS: dict[str, Callable[[np.random.Generator, int, int], Waveform]] = {
    "alarm": _alarm,
    "bell": _bell,
    "bird": _bird,
    "drill": _drill,
    "engine": _engine,
    "knock": _knock,
    "rain": _rain,
    "siren": _siren,
    "speech": _speech,
    "wind": _wind,
}
SYNTHETIC_CLASSES: tuple[str, ...] = tuple(sorted(_GENERATORS))


def _reverberate(rng: np.random.Generator, sound: Waveform, rate: int) -> Waveform:
    """Put the sound in a room: convolve it with a short decaying noise impulse response."""
    time = np.arange(round(0.4 * rate)) / rate
    response = rng.standard_normal(time.size) * np.exp(-time / rng.uniform(0.01, 0.1))
    response *= rng.uniform(0.2, 1.0) / np.sqrt(np.sum(response**2))
    response[0] = 1.0
    return signal.oaconvolve(sound, response)[: sound.size]


def _colour(rng: np.random.Generator, sound: Waveform, rate: int) -> Waveform:
    """Filter the sound as a wall, a telephone or a cheap microphone would."""
    if rng.random() < 0.5:
        b, a = signal.butter(1, rng.uniform(1000, 3500), "lowpass", fs=rate)
    else:
        b, a = signal.butter(1, rng.uniform(150, 800), "highpass", fs=rate)
    return signal.lfilter(b, a, sound)


def _two_channels(rng: np.random.Generator, sound: Waveform, rate: int) -> Waveform:
    """Place the sound left or right of the middle by a delay and a level difference; shape `(2, samples)`."""
    # 0.7 ms is about the time sound takes from one ear to the other.
    delay = rng.integers(round(0.0007 * rate) + 1)
    late = np.concatenate([np.zeros(delay), sound[: sound.size - delay]]) * 10 ** (-rng.uniform(0, 6) / 20)
    return np.stack([sound, late] if rng.random() < 0.5 else [late, sound])


def synthesize_clip(label: str, seed: int, index: int) -> tuple[npt.NDArray[np.float32], int]:
    """Synthesise one clip of a class.

    The clip depends on the three arguments only; the global random state is neither read nor changed.

    Args:
        label: One of `SYNTHETIC_CLASSES`.
        seed: Seed of the dataset, 0 or more.
        index: Number of the clip within its class, 0 or more.

    Returns:
        The waveform, float32 of shape `(channels, samples)` in [-1, 1] with one or two channels and 0.5 to 4 seconds,
        and its sampling rate in Hz.

    Raises:
        ValueError: If the label is unknown, or the seed or the index is negative.
    """
    if label not in _GENERATORS:
        raise ValueError(f"Expected a label that is one of {', '.join(SYNTHETIC_CLASSES)}, found {label!r}.")
    if seed < 0 or index < 0:
        raise ValueError(f"Expected a seed and an index of 0 or more, found seed {seed} and index {index}.")
    rng = np.random.default_rng([seed, SYNTHETIC_CLASSES.index(label), index])
    rate = int(rng.choice(_RATES_HZ))
    samples = math.ceil(rng.uniform(*_LENGTH_S) * rate)

    event = _GENERATORS[label](rng, round(rng.uniform(0.6, 1.0) * samples), rate)
    event = _fade(_unit(event), rate, attack_s=0.01, release_s=rng.uniform(0.01, 0.1))
    sound = np.zeros(samples)
    _mix_in(sound, event, start=int(rng.integers(samples - event.size + 1)))
    if rng.random() < 0.3:
        sound = _reverberate(rng, sound, rate)
    if rng.random() < 0.4:
        sound = _colour(rng, sound, rate)

    channels = _two_channels(rng, sound, rate) if rng.random() < 0.25 else sound[np.newaxis]
    noise_rms = channels.std() * 10 ** (-rng.uniform(*_SNR_DB) / 20)
    colour = rng.uniform(0, 2)
    channels = channels + noise_rms * np.stack([_coloured_noise(rng, samples, rate, colour) for _ in channels])
    peak = 10 ** (rng.uniform(*_LEVEL_DBFS) / 20)
    return (channels * peak / np.abs(channels).max()).astype(np.float32), rate
