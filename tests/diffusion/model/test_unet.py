"""Parameter counts of Table 2, shapes, and the behaviour of the four entries to the network."""

import pytest
import torch

from diffusion.model.config import STAGES
from diffusion.model.cost import count_parameters, stage_cost
from diffusion.model.kernels import not_compiled
from diffusion.model.stages import PAPER_PARAMETERS_M, paper_stage
from diffusion.model.unet import UNet
from diffusion.model.unet_config import UNetConfig


def small(**changes):
    settings = {
        "signal_channels": 1,
        "text_width": 6,
        "base": 8,
        "kernel": 3,
        "strides": (4, 3),
        "multipliers": (1, 2),
        "blocks": (1, 2),
        "self_attention": (False, True),
        "cross_attention": (False, True),
        "heads": 2,
        "groups": 4,
    }
    return UNetConfig(**{**settings, **changes})


def build(config, **options):
    torch.manual_seed(0)
    model = UNet(config, **options)
    for parameter in model.parameters():  # the exit starts at zero: shake it, or nothing could be seen
        torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


@pytest.mark.parametrize("stage", STAGES)
def test_parameters_are_within_three_percent_of_table_2(stage):
    assert count_parameters(paper_stage(stage)) / 1e6 == pytest.approx(PAPER_PARAMETERS_M[stage], rel=0.03)


def test_reading_the_up_path_otherwise_misses_table_2():
    config = paper_stage("waveform-generator")
    other = config.model_copy(update={"unet": config.unet.model_copy(update={"up_blocks": "leaving"})})
    assert count_parameters(other) / 1e6 > 1.14 * PAPER_PARAMETERS_M["waveform-generator"]


@pytest.mark.parametrize(
    ("stage", "length", "padded"),
    [
        ("waveform-generator", 96_000, 98_304),
        ("waveform-cascader", 480_000, 480_256),
        ("spectrogram-generator", 3_000, 3_072),
        ("spectrogram-vocoder", 480_000, 480_000),
        ("super-resolution", 720_000, 720_128),
        ("super-resolution", 76_800, 76_800),
    ],
)
def test_padded_lengths(stage, length, padded):
    assert paper_stage(stage).unet.padded(length) == padded


@pytest.mark.parametrize("length", [1, 11, 12, 25, 48])
@pytest.mark.parametrize("changes", [{}, {"up_blocks": "leaving"}, {"skip_joins": "block_output"}])
def test_any_length_comes_back(length, changes):
    model = build(small(**changes))
    out = model(torch.randn(2, 1, length), torch.tensor([0.1, 0.9]), text_BLW=torch.randn(2, 5, 6))
    assert out.shape == (2, 1, length)


def test_odd_strides_and_all_conditions():
    config = small(stacked_channels=1, aligned_channels=4, strides=(2, 5), augmentation_embedding=True)
    model = build(config)
    inputs = {
        "stacked_BCT": torch.randn(2, 1, 40),
        "aligned_BCT": torch.randn(2, 4, 4),
        "text_BLW": torch.randn(2, 3, 6),
    }
    x, t = torch.randn(2, 1, 40), torch.tensor([0.3, 0.3])
    out = model(x, t, augmentation_t_B=torch.tensor([0.0, 0.5]), **inputs)
    assert out.shape == x.shape
    for name, value in inputs.items():
        assert not torch.allclose(
            model(x, t, **{**inputs, name: value + torch.randn_like(value)}), model(x, t, **inputs)
        ), name
    torch.testing.assert_close(out[0], model(x, t, **inputs)[0])
    assert not torch.allclose(out[1], model(x, t, **inputs)[1])


@pytest.mark.parametrize("pooled", [False, True])
def test_dropped_text_has_no_influence_and_kept_text_has(pooled):
    model = build(small(text_pooled=pooled))
    x, t = torch.randn(2, 1, 24), torch.tensor([0.5, 0.5])
    keep = torch.tensor([True, False])
    one = model(x, t, text_BLW=torch.randn(2, 5, 6), keep_text_B=keep)
    two = model(x, t, text_BLW=torch.randn(2, 5, 6), keep_text_B=keep)
    assert not torch.allclose(one[0], two[0])
    assert torch.equal(one[1], two[1])
    torch.testing.assert_close(model(x, t)[1], one[1])


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("flags", [(False, True), (True, True)])
def test_a_guidance_pair_is_two_passes(flags, pooled):
    model = build(small(cross_attention=flags, text_width=6, text_pooled=pooled))
    x, t, text = torch.randn(2, 1, 24), torch.tensor([0.5, 0.2]), torch.randn(2, 5, 6)
    mask = torch.tensor([[True] * 5, [True, True, False, False, False]])
    both = model(x, t, text_BLW=text, text_mask_BL=mask, guidance_pair=True)
    torch.testing.assert_close(both[:2], model(x, t, text_BLW=text, text_mask_BL=mask))
    torch.testing.assert_close(both[2:], model(x, t))


def test_compiled_levels_are_the_same_without_a_graph_break():
    one = {"strides": (4,), "multipliers": (1,), "blocks": (1,), "self_attention": (True,), "cross_attention": (True,)}
    config = small(aligned_channels=4, **one)
    inputs = {"aligned_BCT": torch.randn(2, 4, 10), "text_BLW": torch.randn(2, 5, 6)}
    x, t = torch.randn(2, 1, 40), torch.tensor([0.5, 0.2])
    results = []
    for compiled in (False, True):
        model = build(config).train()
        if compiled:
            model.compile_blocks(backend="aot_eager", fullgraph=True)
        out = model(x, t, guidance_pair=True, **inputs)
        out.square().mean().backward()
        results.append((out, model.entry.weight.grad))
    torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-5)


def test_what_is_not_worth_compiling_runs_as_it_is():
    """Held-out losses and demos of a training have other shapes: compiled code is made for none of them."""
    import torch._dynamo

    def compiled(graph, inputs):
        raise AssertionError("compiled")

    model = build(small(text_width=0, cross_attention=(False, False))).compile_blocks(backend=compiled)
    x, t = torch.randn(2, 1, 40), torch.tensor([0.5, 0.2])
    with not_compiled():
        model(x, t)
    with pytest.raises(torch._dynamo.exc.BackendCompilerFailed, match="compiled"):
        model(x, t)


def test_pooled_text_reaches_blocks_without_attention():
    model = build(small(text_pooled=True))
    x, t, text = torch.randn(1, 1, 24), torch.tensor([0.5]), torch.randn(1, 5, 6)
    seen = []
    model.down[0].register_forward_hook(lambda module, inputs, out: seen.append(out))
    model(x, t, text_BLW=text)
    model(x, t, text_BLW=text + torch.randn_like(text))
    assert not torch.allclose(seen[0], seen[1])
    with pytest.raises(ValueError, match="text_pooled is for a model with text"):
        small(text_width=0, cross_attention=(False, False), text_pooled=True)


@pytest.mark.parametrize("pooled", [False, True])
def test_masked_tokens_have_no_influence(pooled):
    model = build(small(text_pooled=pooled))
    x, t, text = torch.randn(1, 1, 24), torch.tensor([0.5]), torch.randn(1, 5, 6)
    mask = torch.tensor([[True, True, True, False, False]])
    changed = text.clone()
    changed[:, 3:] += 5
    torch.testing.assert_close(
        model(x, t, text_BLW=text, text_mask_BL=mask), model(x, t, text_BLW=changed, text_mask_BL=mask)
    )
    torch.testing.assert_close(
        model(x, t, text_BLW=text, text_mask_BL=mask), model(x, t, text_BLW=text[:, :3]), rtol=1e-4, atol=1e-5
    )


def test_bfloat16_weights_take_float32_inputs():
    config = small(stacked_channels=1, aligned_channels=4, augmentation_embedding=True)
    model = build(config)
    inputs = {
        "stacked_BCT": torch.randn(2, 1, 36),
        "aligned_BCT": torch.randn(2, 4, 3),
        "text_BLW": torch.randn(2, 3, 6),
    }
    x, t = torch.randn(2, 1, 36), torch.tensor([0.3, 0.9])
    exact = model(x, t, **inputs)
    rough = model.to(torch.bfloat16)(x, t, **inputs)
    assert rough.dtype == torch.bfloat16
    assert (rough.float() - exact).abs().mean() < 0.05 * exact.abs().mean()


def test_a_new_model_predicts_zero_noise():
    out = UNet(small())(torch.randn(1, 1, 24), torch.tensor([0.5]))
    assert torch.equal(out, torch.zeros_like(out))


def test_gradient_checkpointing_changes_nothing():
    x, t, text = torch.randn(2, 1, 24), torch.tensor([0.2, 0.8]), torch.randn(2, 5, 6)
    grads = []
    for on in (False, True):
        model = build(small(), gradient_checkpointing=on).train()
        model(x, t, text_BLW=text).square().mean().backward()
        grads.append([p.grad for p in model.parameters()])
    for plain, recomputed in zip(*grads, strict=True):
        torch.testing.assert_close(plain, recomputed)


def test_group_norm_off_the_cpu_is_the_same_formula():
    from diffusion.model.unet import _GroupNorm

    norm = _GroupNorm(12, 8)
    assert norm.num_groups == 6
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x = torch.randn(2, 7, 12)
    torch.testing.assert_close(norm.channels_last(x), norm(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("stride", [2, 3, 4])
def test_convolutions_are_torchs_one_dimensional_ones(stride):
    from diffusion.model.unet import _Convolution, _TransposedConvolution

    x = torch.randn(2, 24, 5)
    down = _Convolution(5, 7, 5, stride=stride, padding=2)
    expected = torch.nn.functional.conv1d(x.transpose(1, 2), down.weight, down.bias, stride, 2)
    torch.testing.assert_close(down(x), expected.transpose(1, 2), rtol=1e-4, atol=1e-5)
    padding, extra = (stride + 1) // 2, stride % 2
    up = _TransposedConvolution(5, 7, 2 * stride, stride=stride, padding=padding, output_padding=extra)
    expected = torch.nn.functional.conv_transpose1d(x.transpose(1, 2), up.weight, up.bias, stride, padding, extra)
    torch.testing.assert_close(up(x), expected.transpose(1, 2), rtol=1e-4, atol=1e-5)
    assert up(x).shape == (2, 24 * stride, 7)


def test_cost_counts_a_convolution_by_hand():
    cost = stage_cost(paper_stage("spectrogram-vocoder"))
    assert cost.parameters == count_parameters(paper_stage("spectrogram-vocoder"))
    # Forward FLOPs are twice the multiplications; backward is about twice the forward.
    assert cost.train_tflop == pytest.approx(3 * cost.forward_tflop, rel=0.01)
    assert cost.checkpointed_gib < cost.activations_gib


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blocks": (1,)}, "one entry a depth"),
        ({"kernel": 4}, "odd"),
        ({"text_width": 0}, "disagree"),
        ({"heads": 3}, "multiple of 3 heads"),
    ],
)
def test_impossible_shapes_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        small(**changes)
