"""The bundled model's tokenizer: one token a word, lower case, nothing but words that training texts contain."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from labeling.recipe.training.vocabulary_texts import vocabulary_pool
from labeling.recipe.training.words import FILLER_PHRASES, NEUTRAL_WORDS
from vocab.grammar.lexicon import WORDS
from vocab.grammar.loose_words import LOOSE_WORDS

__all__ = ["MAX_TOKENS", "known_words", "make_tokenizer", "save_processor", "split_words"]

MAX_TOKENS = 64
_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
_SPLIT = re.compile(r"\w+|[^\w\s]+")  # as `tokenizers.pre_tokenizers.Whitespace`


def split_words(text: str) -> list[str]:
    """Words and runs of punctuation, as the tokenizer sees them."""
    return _SPLIT.findall(text.lower())


def known_words() -> list[str]:
    """Every word of the lexicon, of the loose words, of the bundled vocabularies and of what stands between, sorted."""
    texts = [p for phrases in (*WORDS.values(), *LOOSE_WORDS.values()) for p in phrases]
    texts += [*FILLER_PHRASES, *NEUTRAL_WORDS, ", . ; : - ' ! ? ( ) / &", "feel use gentle"]
    texts += [caption.text for caption in vocabulary_pool()]
    return sorted({word for text in texts for word in split_words(text)})


def make_tokenizer() -> Any:
    """A fast tokenizer with the special tokens of RoBERTa, which the text tower expects."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    ids = {word: i for i, word in enumerate((*_SPECIAL, *known_words()))}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", ids["<s>"]), ("</s>", ids["</s>"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        cls_token="<s>",
        sep_token="</s>",
        model_max_length=MAX_TOKENS,
        model_input_names=["input_ids", "attention_mask"],
    )


def save_processor(folder: Path) -> Any:
    """Tokenizer and feature extractor, as `ClapProcessor.from_pretrained` wants them; returns the tokenizer."""
    from transformers import ClapProcessor

    from labeling.recipe.training.data import feature_extractor

    tokenizer = make_tokenizer()
    ClapProcessor(feature_extractor(), tokenizer).save_pretrained(folder)
    return tokenizer
