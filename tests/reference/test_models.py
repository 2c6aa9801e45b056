"""Models against the real ones.

Truth: transformers 5.23 modules on the meta device, FLOPs by torch 2.13's FlopCounterMode on one sequence of 2048
tokens (full attention, the head on every position), caches by the real Cache classes (bf16, keys and values).
Windowed layers are held to one token more than those classes keep from one step to the next: the window's last.
No figure stands where the classes are no measure: FLOPs of scans, which are partly not counted, and of Llama 4,
whose module runs every expert; caches of Falcon 40B and 180B, spread over all heads there, and of MiniMax-01.
"""

from __future__ import annotations

import pytest

import suanli

# name, family, parameters, active for a token, forward FLOPs of 1 x 2048, bytes of keys and values at 2048 tokens
TRUTH: list[tuple[str, str, int, int, int | None, int | None]] = [
    ("baichuan-13b", "baichuan", 13264901120, 13264901120, 56425132851200, 1677721600),
    ("baichuan-7b", "baichuan", 7000559616, 7000559616, 29798483099648, 1073741824),
    ("baichuan2-13b", "baichuan", 13896668160, 13896668160, 57718991749120, 1677721600),
    ("baichuan2-7b", "baichuan", 7505973248, 7505973248, 30833570217984, 1073741824),
    ("bamba-9b", "bamba", 9780235392, 9780235392, None, 148760576),
    ("bloom-176b", "bloom", 176247271424, 176247271424, 738691425239040, 8220835840),
    ("bloom-7b1", "bloom", 7069016064, 7069016064, 31009663877120, 1006632960),
    ("chatglm3-6b", "chatglm", 6243584000, 6243584000, 26405458935808, 58720256),
    ("aya-23-8b", "cohere", 8028033024, 8028033024, 35081292873728, 268435456),
    ("command-r-35b", "cohere", 34980831232, 34980831232, 148777667133440, 2684354560),
    ("command-r-plus-104b", "cohere", 103810674688, 103810674688, 438395901837312, 536870912),
    ("command-r7b", "cohere2", 8028033024, 8028033024, 35081292873728, 268435456),
    ("deepseek-v2", "deepseek_v2", 235741434880, 21375800320, 106020596613120, 141557760),
    ("deepseek-v2-lite", "deepseek_v2", 15706484224, 2661150208, 11200200966144, 63700992),
    ("deepseek-v3", "deepseek_v3", 671026404352, 37552282624, 170973789683712, 143917056),
    ("kimi-k2", "deepseek_v3", 1026408209408, 32861477888, 140265847259136, 143917056),
    ("deepseek-v3.2", "deepseek_v32", 671877929216, 38403807488, 178686208770048, 175898624),
    ("deepseek-v4-flash", "deepseek_v4", 284332230231, 13799622231, 81342117183488, 25577472),
    ("aquila2-34b", "dense", 33693554688, 33693554688, 141673724116992, 503316480),
    ("aquila2-7b", "dense", 7295537152, 7295537152, 30402597093376, 1073741824),
    ("codellama-34b", "dense", 33743970304, 33743970304, 143735375527936, 402653184),
    ("deepseek-llm-67b", "dense", 67425001472, 67425001472, 285787123875840, 796917760),
    ("deepseek-llm-7b", "dense", 6910365696, 6910365696, 28647431864320, 1006632960),
    ("llama-13b", "dense", 13015864320, 13015864320, 56076166758400, 1677721600),
    ("llama-2-13b", "dense", 13015864320, 13015864320, 56076166758400, 1677721600),
    ("llama-2-70b", "dense", 68976648192, 68976648192, 292444323184640, 671088640),
    ("llama-2-7b", "dense", 6738415616, 6738415616, 29261612187648, 1073741824),
    ("llama-3-70b", "dense", 70553706496, 70553706496, 295674138591232, 671088640),
    ("llama-3-8b", "dense", 8030261248, 8030261248, 32938104193024, 268435456),
    ("llama-3.1-405b", "dense", 405853388800, 405853388800, 1688386003795968, 1056964608),
    ("llama-3.1-70b", "dense", 70553706496, 70553706496, 295674138591232, 671088640),
    ("llama-3.1-8b", "dense", 8030261248, 8030261248, 32938104193024, 268435456),
    ("llama-3.2-1b", "dense", 1235814400, 1235814400, 5611374772224, 67108864),
    ("llama-3.2-3b", "dense", 3212749824, 3212749824, 14601815064576, 234881024),
    ("llama-33b", "dense", 32528943616, 32528943616, 139062987980800, 3271557120),
    ("llama-65b", "dense", 65285660672, 65285660672, 277326038302720, 5368709120),
    ("llama-7b", "dense", 6738415616, 6738415616, 29261612187648, 1073741824),
    ("smollm2-1.7b", "dense", 1711376384, 1711376384, 7834020347904, 402653184),
    ("smollm2-135m", "dense", 134515008, 134515008, 840739848192, 47185920),
    ("smollm2-360m", "dense", 361821120, 361821120, 1997159792640, 83886080),
    ("tinyllama-1.1b", "dense", 1100048384, 1100048384, 4992899481600, 46137344),
    ("yi-34b", "dense", 34388917248, 34388917248, 146189949337600, 503316480),
    ("yi-6b", "dense", 6061035520, 6061035520, 25950192402432, 134217728),
    ("yi-9b", "dense", 8829407232, 8829407232, 38388417691648, 201326592),
    ("dots.llm1", "dots1", 142774373888, 14016581120, 59119151087616, 2080374784),
    ("ernie-4.5-21b-a3b", "ernie4_5_moe", 21825437888, 3352150208, 14932393328640, 117440512),
    ("exaone-4-32b", "exaone4", 32003216384, 32003216384, 134432476364800, 536870912),
    ("falcon-180b", "falcon", 178557088768, 178557088768, 751278900641792, None),
    ("falcon-40b", "falcon", 41303293952, 41303293952, 177416509063168, None),
    ("falcon-7b", "falcon", 6921720704, 6921720704, 30789681020928, 16777216),
    ("gemma-2b", "gemma", 2506172416, 2506172416, 10883447128064, 37748736),
    ("gemma-7b", "gemma", 8537680896, 8537680896, 36893769072640, 939524096),
    ("gemma-2-27b", "gemma2", 27227128320, 27227128320, 114679921770496, 771751936),
    ("gemma-2-2b", "gemma2", 2614341888, 2614341888, 11600706666496, 218103808),
    ("gemma-2-9b", "gemma2", 9241705984, 9241705984, 40737764802560, 704643072),
    ("gemma-3-12b-text", "gemma3", 11766034176, 11766034176, 51489074577408, 469762048),
    ("gemma-3-1b", "gemma3", 999885952, 999885952, 4541659480064, 19922944),
    ("gemma-3-27b-text", "gemma3", 27009346304, 27009346304, 114885342003200, 603979776),
    ("gemma-3-4b", "gemma3", 3880263168, 3880263168, 17060281188352, 163577856),
    ("gemma-3n-e4b", "gemma3n", 6835235568, 6835235568, 19582445092864, 33554432),
    ("gemma-4-26b-a4b", "gemma4", 25233141760, 3822530560, 18059397955584, 251658240),
    ("glm-4-9b", "glm", 9399951360, 9399951360, 38706245271552, 83886080),
    ("glm-4-32b-0414", "glm4", 32566081536, 32566081536, 135858405507072, 127926272),
    ("glm-4.5", "glm4_moe", 352797814784, 33632251904, 153536625115136, 771751936),
    ("glm-4.5-air", "glm4_moe", 106852245504, 13424123904, 61921617248256, 385875968),
    ("glm-4.7-flash", "glm4_moe_lite", 29943390976, 3896763136, 18698140123136, 110886912),
    ("gpt2", "gpt2", 124439808, 124439808, 660606025728, 75497472),
    ("gpt2-large", "gpt2", 774030080, 774030080, 3935688458240, 377487360),
    ("gpt2-medium", "gpt2", 354823168, 354823168, 1860060577792, 201326592),
    ("gpt2-xl", "gpt2", 1557611200, 1557611200, 7657652224000, 629145600),
    ("gpt3-175b", "gpt2", 174604259328, 174604259328, 734804261732352, 9663676416),
    ("santacoder", "gpt_bigcode", 1124886528, 1124886528, 5412732534784, 25165824),
    ("starcoder-15b", "gpt_bigcode", 15517456384, 15517456384, 67465346285568, 41943040),
    ("gpt-neox-20b", "gpt_neox", 20554567680, 20554567680, 87443386662912, 2214592512),
    ("pythia-12b", "gpt_neox", 11846072320, 11846072320, 50541027655680, 1509949440),
    ("pythia-6.9b", "gpt_neox", 6857302016, 6857302016, 29433410879488, 1073741824),
    ("gpt-oss-120b", "gpt_oss", 116829156672, 5711982912, 23490887417856, 80216064),
    ("gpt-oss-20b", "gpt_oss", 20914757184, 4187440704, 16424122712064, 53477376),
    ("gpt-j-6b", "gptj", 6050882784, 6050882784, 25859461218304, 939524096),
    ("granite-3.1-2b", "granite", 2533531648, 2533531648, 11751055687680, 167772160),
    ("granite-3.1-8b", "granite", 8170848256, 8170848256, 36215214571520, 335544320),
    ("internlm-7b", "internlm", 7321948160, 7321948160, 30455613095936, 1073741824),
    ("internlm2-20b", "internlm2", 19861149696, 19861149696, 83967684378624, 402653184),
    ("internlm2-7b", "internlm2", 7737708544, 7737708544, 32338956255232, 268435456),
    ("internlm3-8b", "internlm3", 8804241408, 8804241408, 37203006717952, 100663296),
    ("jamba-v0.1", "jamba", 51570323328, 12110311296, None, None),
    ("llama-4-maverick-17b-128e", "llama4", 400711848960, 17184691200, None, 402653184),
    ("llama-4-scout-17b-16e", "llama4", 107769861120, 17172894720, None, 402653184),
    ("falcon-mamba-7b", "mamba", 7272665088, 7272665088, None, 37748736),
    ("mamba-2.8b", "mamba", 2768345600, 2768345600, None, 23592960),
    ("codestral-mamba-7b", "mamba2", 7285403648, 7285403648, None, 273678336),
    ("mamba2-2.7b", "mamba2", 2702599680, 2702599680, None, 170524672),
    ("minimax-text-01", "minimax", 456089655296, 48403306496, None, None),
    ("minimax-m2", "minimax_m2", 228689748992, 11030537216, 49051210874880, 520093696),
    ("mistral-7b-v0.1", "mistral", 7241732096, 7241732096, 31323196489728, 268435456),
    ("mistral-7b-v0.3", "mistral", 7248023552, 7248023552, 31336081391616, 268435456),
    ("mistral-large-123b", "mistral", 122610069504, 122610069504, 518694610403328, 738197504),
    ("mistral-nemo-12b", "mistral", 12247782400, 12247782400, 50165218017280, 335544320),
    ("mistral-small-24b", "mistral", 23572403200, 23572403200, 96550864814080, 335544320),
    ("mixtral-8x22b", "mixtral", 140620634112, 39152031744, 165331007963136, 469762048),
    ("mixtral-8x7b", "mixtral", 46702792704, 12879925248, 54417235640320, 268435456),
    ("mpt-30b", "mpt", 29957200896, 29957200896, 128474282983424, 2818572288),
    ("mpt-7b", "mpt", 6649286656, 6649286656, None, None),
    ("nemotron-4-340b", "nemotron", 341029195776, 341029195776, 1407185904992256, 1207959552),
    ("nemotron-3-nano-30b-a3b", "nemotron_h", 31577937344, 3580073408, None, 61947904),
    ("nemotron-h-56b", "nemotron_h", 56324350464, 56324350464, None, 998703104),
    ("olmo-7b", "olmo", 6888095744, 6888095744, 29568702349312, 1073741824),
    ("olmo2-13b", "olmo2", 13716198400, 13716198400, 57509612093440, 1677721600),
    ("olmo2-7b", "olmo2", 7298617344, 7298617344, 30408368455680, 1073741824),
    ("olmo3.1-32b", "olmo3", 32233522176, 32233522176, 135418766950400, 536870912),
    ("olmoe-1b-7b", "olmoe", 6919161856, 1282017280, 5378372796416, 268435456),
    ("opt-13b", "opt", 12853473280, 12853473280, 56029861642240, 1677721600),
    ("opt-175b", "opt", 174604468224, 174604468224, 734805016707072, 9663676416),
    ("opt-30b", "opt", 29974540288, 29974540288, 128469585362944, 2818572288),
    ("opt-6.7b", "opt", 6658473984, 6658473984, 29430726524928, 1073741824),
    ("opt-66b", "opt", 65719701504, 65719701504, 278974634655744, 4831838208),
    ("phi-1.5", "phi", 1418270720, 1418270720, 6201932775424, 402653184),
    ("phi-2", "phi", 2779683840, 2779683840, 12219181957120, 671088640),
    ("phi-3-medium", "phi3", 13960238080, 13960238080, 59942979502080, 419225600),
    ("phi-3-mini", "phi3", 3821079552, 3821079552, 16896132907008, 804913152),
    ("phi-3.5-mini", "phi3", 3821079552, 3821079552, 16896132907008, 805306368),
    ("phi-4", "phi3", 14659507200, 14659507200, 61375082659840, 419430400),
    ("phi-4-mini", "phi3", 3836021760, 3836021760, 17360794681344, 268435456),
    ("phi-3.5-moe", "phimoe", 41873153344, 6640999744, 28858959003648, 268435456),
    ("qwen-72b", "qwen", 72287920128, 72287920128, 301970560647168, 5368709120),
    ("qwen-7b", "qwen", 7721324544, 7721324544, 31273804365824, 1073741824),
    ("qwen1-14b", "qwen", 14167290880, 14167290880, 58271968788480, 1677721600),
    ("mimo-7b", "qwen2", 7622619136, 7622619136, 31149250314240, 301989888),
    ("qwen1.5-14b", "qwen2", 14167290880, 14167290880, 58271968788480, 1677721600),
    ("qwen1.5-32b", "qwen2", 32512218112, 32512218112, 135474005934080, 536870912),
    ("qwen1.5-72b", "qwen2", 72287920128, 72287920128, 301970560647168, 5368709120),
    ("qwen1.5-7b", "qwen2", 7721324544, 7721324544, 31273804365824, 1073741824),
    ("qwen2-0.5b", "qwen2", 494032768, 494032768, 2384042393600, 25165824),
    ("qwen2-1.5b", "qwen2", 1543714304, 1543714304, 7044014800896, 58720256),
    ("qwen2-72b", "qwen2", 72706203648, 72706203648, 303688547565568, 671088640),
    ("qwen2-7b", "qwen2", 7615616512, 7615616512, 30643517915136, 117440512),
    ("qwen2.5-0.5b", "qwen2", 494032768, 494032768, 2384042393600, 25165824),
    ("qwen2.5-1.5b", "qwen2", 1543714304, 1543714304, 7044014800896, 58720256),
    ("qwen2.5-14b", "qwen2", 14770033664, 14770033664, 61428769751040, 402653184),
    ("qwen2.5-32b", "qwen2", 32763876352, 32763876352, 136504798085120, 536870912),
    ("qwen2.5-3b", "qwen2", 3085938688, 3085938688, 13875965591552, 75497472),
    ("qwen2.5-72b", "qwen2", 72706203648, 72706203648, 303688547565568, 671088640),
    ("qwen2.5-7b", "qwen2", 7615616512, 7615616512, 30643517915136, 117440512),
    ("qwen1.5-moe-a2.7b", "qwen2_moe", 14315784192, 2689173504, 10563941826560, 402653184),
    ("qwen2-57b-a14b", "qwen2_moe", 57408658944, 14249270784, 57816844861440, 117440512),
    ("qwen3-0.6b", "qwen3", 596049920, 596049920, 3403224711168, 234881024),
    ("qwen3-1.7b", "qwen3", 1720574976, 1720574976, 8009040265216, 234881024),
    ("qwen3-14b", "qwen3", 14768307200, 14768307200, 60738890629120, 335544320),
    ("qwen3-32b", "qwen3", 32762123264, 32762123264, 139800648613888, 536870912),
    ("qwen3-4b", "qwen3", 4022468096, 4022468096, 18949127274496, 301989888),
    ("qwen3-8b", "qwen3", 8190735360, 8190735360, 33472827621376, 301989888),
    ("qwen3.5-27b", "qwen3_5", 26895998464, 26895998464, None, 289144832),
    ("qwen3.5-397b-a17b", "qwen3_5_moe", 396346350336, 17349040896, None, 256081920),
    ("qwen3-235b-a22b", "qwen3_moe", 235093634560, 22190763520, 101260296454144, 394264576),
    ("qwen3-30b-a3b", "qwen3_moe", 30532122624, 3353032704, 15757161267200, 201326592),
    ("qwen3-coder-480b-a35b", "qwen3_moe", 480154875392, 35474765312, 154259656015872, 520093696),
    ("qwen3-next-80b-a3b", "qwen3_next", 79674391296, 3874929408, None, 128188416),
    ("seed-oss-36b", "seed_oss", 36151104512, 36151104512, 155810676080640, 536870912),
    ("smollm3-3b", "smollm3", 3075098624, 3075098624, 13831942176768, 150994944),
    ("stablelm-2-1.6b", "stablelm", 1644515328, 1644515328, 6717328850944, 402653184),
    ("stablelm-2-12b", "stablelm", 12143185920, 12143185920, 51067161149440, 419430400),
    ("stablelm-3b", "stablelm", 2795443200, 2795443200, 12295686062080, 671088640),
    ("starcoder2-15b", "starcoder2", 15957889024, 15957889024, 68238440398848, 167772160),
    ("starcoder2-3b", "starcoder2", 3030371328, 3030371328, 13954348744704, 62914560),
    ("starcoder2-7b", "starcoder2", 7173923840, 7173923840, 31851477467136, 134217728),
]
# Constructed as published, and not in the zoo: what the zoo's rows do not exercise.
CONFIGS = [
    (
        # deepseek-llm-67b: 95 layers, which few stages divide
        {"model_type": "llama", "vocab_size": 102400, "hidden_size": 8192, "intermediate_size": 22016}
        | {"num_hidden_layers": 95, "num_attention_heads": 64, "num_key_value_heads": 8},
        (67425001472, 67425001472, 285787123875840, 796917760),
    ),
    (
        # qwen1.5-72b: a qwen2 without grouped queries
        {"model_type": "qwen2", "vocab_size": 152064, "hidden_size": 8192, "intermediate_size": 24576}
        | {"num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 64},
        (72287920128, 72287920128, 301970560647168, 5368709120),
    ),
]
# Parameters by group, the real modules' names renamed to ours (norms, lm_head).
GROUPS = {
    "qwen1.5-moe-a2.7b": {
        "embedding": 311164928,
        "attention": 402800640,
        "router": 2998272,
        "experts": 12457082880,
        "shared_experts": 830472192,
        "norm": 100352,
        "head": 311164928,
    },
    "mixtral-8x7b": {
        "embedding": 131072000,
        "attention": 1342177280,
        "router": 1048576,
        "experts": 45097156608,
        "norm": 266240,
        "head": 131072000,
    },
}


def figures(model: suanli.Model) -> tuple[int, int, float, int]:
    """The four figures of a row of the tables."""
    flops = model.forward_flops(batch=1, sequence=2048, causal=False).total
    return model.parameters.total, model.parameters.active, flops, model.kv_cache_bytes(2048)


@pytest.mark.parametrize(("name", "family", "total", "active", "flops", "cache"), TRUTH, ids=[r[0] for r in TRUTH])
def test_a_preset_is_the_real_model(
    name: str, family: str, total: int, active: int, flops: int | None, cache: int | None
) -> None:
    """Parameters, FLOPs and cache of every preset are those of the real module, to the last one."""
    model = suanli.model(name)
    ours = figures(model)
    assert model.family == family
    assert ours == (total, active, ours[2] if flops is None else flops, ours[3] if cache is None else cache)
    assert sum(model.parameters.by_group.values()) == total


@pytest.mark.parametrize(("config", "truth"), CONFIGS)
def test_a_config_is_the_real_model(config: dict[str, object], truth: tuple[int, ...]) -> None:
    """A configuration that no preset holds gives the real module's figures too."""
    assert figures(suanli.model(config)) == truth


@pytest.mark.parametrize("name", GROUPS)
def test_parameters_are_under_the_right_group(name: str) -> None:
    """Groups hold what the real module's own names say."""
    count = suanli.model(name).parameters
    assert {g: n for g, n in count.by_group.items() if n} == GROUPS[name]


def test_every_preset_of_ours_has_a_row() -> None:
    """A preset that ships with suanli is held against the real module: give it a row when it comes."""
    own = {e.name for e in suanli.catalog().entries("model") if e.provider.plugin == "models"}
    assert own == {row[0] for row in TRUTH}


def test_a_causal_pass_scores_half_the_pairs() -> None:
    """Causal attention is (s + 1) / 2s of the full one, and everything else stays (the reference's README)."""
    model = suanli.model("llama-7b")
    full = model.forward_flops(sequence=2048, causal=False).by_group
    causal = model.forward_flops(sequence=2048).by_group
    assert causal["attention_core"] / full["attention_core"] == 2049 / 4096
    assert {g: f for g, f in causal.items() if g != "attention_core"} == {
        g: f for g, f in full.items() if g != "attention_core"
    }


def test_a_window_limits_the_cache() -> None:
    """Mistral keeps 4096 tokens however long the text is; a Mixtral of the same shape keeps them all."""
    assert suanli.model("mistral-7b-v0.1").kv_cache_bytes(32768) == 2 * 2 * 32 * 8 * 128 * 4096
    assert suanli.model("mixtral-8x7b").kv_cache_bytes(32768) == 2 * 2 * 32 * 8 * 128 * 32768


def test_a_gpt_layer_keeps_what_torch_keeps() -> None:
    """The reference GPT layer keeps 32 s b h + 2 a s^2 b without dropout, 34 and 5 with (torch saved tensors).

    torch keeps fp32 statistics of the norms besides, 0.0013 bytes per s b h.
    """
    model = suanli.model("gpt3-175b")
    h, a, s, b = 12288, 96, 2048, 2
    plain = model.saved_activation_bytes(batch=b, sequence=s, attention="eager", dropout=0.0)
    dropped = model.saved_activation_bytes(batch=b, sequence=s, attention="eager", dropout=0.1)
    assert plain == pytest.approx(32.0013 * s * b * h + 2.0 * a * s * s * b, rel=1e-4)
    assert dropped == pytest.approx(34.0013 * s * b * h + 5.0 * a * s * s * b, rel=1e-4)
