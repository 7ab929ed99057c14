"""Every standard cell beside the catalogue's entry that it is, and what its names are there.

`Row("CIFG", 69, {"W": "stack(Wf, Wg, Wo)", ...})`: parameter W of ours is what this expression of
the catalogue's names gives. Parameters, states and inputs that are not listed have the same name;
the parts of a complex one, `L.re` and `L.im`, are those of what is listed for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Row:
    """A standard cell with its settings, and what it is to be compared with."""

    cell: str
    id: int  # of the catalogue's entry
    takes: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, float | bool | str] = field(default_factory=dict)
    says: Mapping[str, str] = field(default_factory=dict)  # lines of the entry: what stands there
    recurrence: tuple[str, int] | None = None  # class and serial products where they are not its
    why: str = ""  # they are not, or lines of it are others

    def __str__(self) -> str:
        options = ",".join(f"{name}={value}" for name, value in self.settings.items())
        return f"{self.id}-{self.cell}" + f"({options})" * bool(options)


# The catalogue's letter for each size of ours, unless a row's settings say a number.
LETTERS = {
    "inputs": "I", "hidden": "H", "outputs": "O", "key": "K", "value": "Vd", "state": "N",
    "memory": "N", "factors": "M", "features": "M", "context": "H", "rank": "R", "depth": "L",
    "unfolds": "L", "inner": "L", "tau": "D", "steps": "G", "waves": "K", "channels": "Ci",
    "height": "hh", "width": "ww", "kernel": "k",
}  # fmt: skip

IFGO = {"W": "stack(Wi, Wf, Wg, Wo)", "U": "stack(Ui, Uf, Ug, Uo)", "b": "stack(bi, bf, bg, bo)"}
INNER = {f"lstm.{name}": gates for name, gates in IFGO.items()}
RZN = {"W": "stack(Wr, Wz, Wn)", "U": "stack(Ur, Uz, Un)", "b": "stack(br, bz, bn)"}
PEEPHOLES = {"p": "stack(pi, pf, po)"}
STEPS = "parts({}, 0, 2, 1, 3, axis=1)"  # what gates have at each step
IMAGES = {"W": "concat(Wi, Wf, Wg, Wo)", "U": "concat(Ui, Uf, Ug, Uo)"}
MATRIX = {"S": "T(S)"}  # ours is [value, key]

TABLE = (
    Row("RNN", 1),
    Row("Jordan", 2, {"y": "o", "c": "d"}),
    Row("LeakyRNN", 3),
    Row("LeakyRNN", 3, settings={"trained": False}),
    Row("CTRNN", 4, {"log_tau": "log(tau)"}),
    Row("LTC", 5, {"log_tau": "log(tau)"}),
    Row("IndRNN", 7),
    Row("IndRNN", 7, settings={"act": "tanh"}, says={
        "h' = relu(W@x + u*h + b)": "h' = tanh(W@x + u*h + b)"}, why="as in haste"),
    Row("LayerNormIndRNN", 8, {"gain": "g"}),
    Row("SCRN", 9, {"V": "Vs"}, {"alpha": 0.5}),
    Row("AntisymmetricRNN", 10),
    Row("GatedAntisymmetricRNN", 11, {"W": "stack(Wz, W)", "b": "stack(bz, b)"}),
    Row("LipschitzRNN", 12, {"M": "stack(MA, MW)", "U": "W"},
        {"eps": 0.1, "beta": 0.7, "gamma": 0.001}),
    Row("PLRNN", 13),
    Row("ShufflingRNN", 15),
    Row("CoRNN", 16, settings={"dt": 0.1, "gamma": 1.0, "eps": 1.0}),
    Row("UnICORNN", 17, {"c": "cc"}),
    Row("LEM", 18, {"W": "stack(W1, W2, Wz, Wy)", "U": "stack(U1, U2, Uz)", "V": "Uy",
                    "b": "stack(b1, b2, bz, by)"}),
    Row("FastRNN", 19, {"alpha": "al[0]", "beta": "be[0]"}),
    Row("FastGRNN", 20, {"b": "stack(bz, bh)", "zeta": "ze[0]", "nu": "nu[0]"}),
    Row("MultiplicativeRNN", 22),
    Row("MIRNN", 23, {"alpha": "al", "beta1": "b1", "beta2": "b2"}),
    Row("MomentumRNN", 24),
    Row("ClockworkRNN", 25, {"period": "T"}, says={
        "g = tanh(W@x + mask(Mt, U)@h + b)": "g = tanh(W@x + mask(T >= row(T).T, U)@h + b)"},
        why="the mask is that of the periods"),
    Row("SuRNN", 26, {"bias": "gb", "height": "al", "omega": "om", "phase": "ph"}),
    Row("RHN", 27, {
        "W": "stack(Wh, Wt, Wc)", "U": "stack(Uh, Ut, Uc, axis=1)", "b": "bh", "bt": "bt",
        "bc": "bc"}, {"coupled": False}),
    Row("RHN", 27, {"W": "stack(Wh, Wt)", "U": "stack(Uh, Ut, axis=1)", "b": "bh", "bt": "bt"},
        says={"    s = tanh(ph)*sig(pt) + s*sig(pc)": "    s = (tanh(ph) - s)*sig(pt) + s"},
        why="the coupled form"),
    Row("ExpRNN", 28, {"A": "Aq"}),
    Row("ExpRNN", 28, {"A": "Aq"}, {"cayley": True}, {
        "h' = modrelu(expm_skew(Aq)@h + W@x, b)":
        "S = antiW(triu(Aq), 0)\nh' = modrelu(solve(eye(H) + S, eye(H) - S)@h + W@x, b)"},
        why="the transform of scoRNN"),
    Row("URNN", 29, {"turn": "stack(d1, d2, d3)", "r": "stack(r1, r2)"}),
    Row("FastWeightsRNN", 30, {"gain": "g"}),
    Row("GatedFeedbackRNN", 31, {
        "U": "swapaxes(U, 0, 1)", "Wg": "wg[:, 0]", "Vg": "wg[:, 1]", "Ug": "swapaxes(ug, 0, 1)"}),
    Row("LMU", 32, {"A": "Ab", "B": "Bb", "Wx": "Wx", "Wh": "Wh", "Wm": "Wm"}),
    Row("GRU", 33, RZN | {"d": "stack(0*br, 0*bz, cn)"}),
    Row("GRU", 34, RZN, {"reset_after": False}),
    Row("SlimGRU", 35, {"V": "stack(Ur, Uz)", "d": "stack(br, bz)"}),
    Row("SlimGRU", 35, {"V": "stack(Ur, Uz)"}, {"gate_bias": False}, {
        "r = sig(Ur@h + br)": "r = sig(Ur@h)", "z = sig(Uz@h + bz)": "z = sig(Uz@h)"}, why="GRU2"),
    Row("SlimGRU", 35, {"d": "stack(br, bz)"}, {"gate_state": False}, {
        "r = sig(Ur@h + br)": "r = sig(br)", "z = sig(Uz@h + bz)": "z = sig(bz)"},
        ("NL-DENSE", 1), why="GRU3 has no weights of the state before its reset"),
    Row("LayerNormGRU", 36, {
        "W": "parts(W, 1, 0, 2)", "U": "parts(U, 1, 0, 2)", "b": "parts(b, 1, 0, 2)",
        "d": "parts(d, 1, 0, 2)", "gain": "stack(parts(g1, 1, 0, 2), parts(g2, 1, 0, 2))"}),
    Row("LiGRU", 38, {"W": "stack(Wz, Wg)", "U": "stack(Uz, Ug)", "b": "stack(bz, b)"}),
    Row("LiGRU", 38, {"W": "stack(Wz, Wg)", "U": "stack(Uz, Ug)", "b": "stack(bz, b)"},
        {"act": "tanh"}, {"g = relu(Wg@x + Ug@h + b)": "g = tanh(Wg@x + Ug@h + b)"},
        why="as in RecurrentLayers.jl"),
    Row("MGU", 39),
    Row("MGU", 40, settings={"gate_input": False}),
    Row("MGU", 40, settings={"gate_input": False, "gate_bias": False},
        says={"f = sig(Uf@h + bf)": "f = sig(Uf@h)"}, why="MGU2"),
    Row("MGU", 40, settings={"gate_input": False, "gate_state": False},
        says={"f = sig(Uf@h + bf)": "f = sig(bf)"}, recurrence=("NL-DENSE", 1),
        why="MGU3 has no weights of the state before its gate"),
    Row("MiRU", 41),
    Row("MiRU", 42, settings={"gate": False}),
    Row("UGRNN", 43, {"W": "stack(Wg, Wn)", "U": "stack(Ug, Un)", "b": "stack(bg, bn)"}),
    Row("IntersectionRNN", 44, {
        "W": "stack(Wy, Wh, Wgy, Wgh)", "U": "stack(Uy, Uh, Ugy, Ugh)",
        "b": "stack(by, bh, bgy, bgh)"}),
    Row("LightRU", 45, {"W": "stack(Wf, W)", "U": "Uf", "b": "stack(bf, b)"}),
    Row("SGRN", 47),
    Row("ATR", 48),
    Row("CFN", 49, {"W": "stack(Wt, We, W)", "U": "stack(Ut, Ue)", "b": "stack(bt, be, b)"}),
    Row("MinimalRNN", 50),
    Row("MUT1", 51, {"W": "stack(Wz, Wr, W)", "b": "stack(bz, br, bx)", "d": "b"}),
    Row("MUT2", 52, {
        "W": "stack(Wz, Wr, W)", "U": "stack(Uz, Ur, U)", "b": "stack(bz, br, b)"}),
    Row("MUT3", 52, {
        "W": "stack(Wz, Wr, W)", "U": "stack(Uz, Ur, U)", "b": "stack(bz, br, b)"},
        says={"z = sig(Wz@x + Uz@h + bz)": "z = sig(Wz@x + Uz@tanh(h) + bz)"},
        why="the catalogue has not the third, which is the second with this gate"),
    Row("BRC", 54, {"W": "stack(Wa, Wc, W)", "u": "stack(ua, uc)", "b": "stack(ba, bc, b)"}),
    Row("NBRC", 55, {"W": "stack(Wa, Wc, W)", "U": "stack(Ua, Uc)", "b": "stack(ba, bc, b)"}),
    Row("SGU", 56, {"W": "stack(Wg, Wz)", "b": "stack(bg, bz)", "d": "cg"}),
    Row("DSGU", 57, {"W": "stack(Wg, Wz)", "b": "stack(bg, bz)", "d": "cg"}),
    Row("TauGRU", 58, {
        "W": "stack(Wu, Wg, Wa, Wz)", "U": "stack(Uu, Ug, Ua)", "V": "Uz",
        "b": "stack(bu, bg, ba, bz)"}),
    Row("TRNN", 60, {"W": "stack(W, V)"}),
    Row("TLSTM", 62, {
        "W": "stack(Wz, Wf, Wo)", "U": "stack(Uz, Uf, Uo)", "b": "stack(bz, bf, bo)", "x@1": "xp"}),
    Row("ConvGRU", 63, {"W": "concat(Wr, Wz, Wn)", "U": "concat(Ur, Uz, Un)"}, {"features": "C"}),
    Row("M2RNN", 65, MATRIX | {"U": "T(U)", "b": "bf[0]"}),
    Row("LSTM", 66, IFGO),
    Row("OriginalLSTM", 67, {
        "W": "stack(Wi, Wg, Wo)", "U": "stack(Ui, Ug, Uo)", "b": "stack(bi, bg, bo)"}),
    Row("PeepholeLSTM", 68, IFGO | PEEPHOLES),
    Row("PeepholeLSTM", 68, IFGO | PEEPHOLES, {"new_peephole": False}, {
        "o = sig(Wo@x + Uo@h + po*c' + bo)": "o = sig(Wo@x + Uo@h + po*c + bo)"},
        why="as in RecurrentLayers.jl"),
    Row("CIFG", 69, {
        "W": "stack(Wf, Wg, Wo)", "U": "stack(Uf, Ug, Uo)", "b": "stack(bf, bg, bo)"}),
    Row("LSTMP", 70, IFGO | {"P": "Wp"}, {"outputs": "P"}),
    Row("LayerNormLSTM", 71, {
        "W": "parts(W, 0, 2, 1, 3)", "U": "parts(U, 0, 2, 1, 3)", "b": "parts(b, 0, 2, 1, 3)",
        "gain": "stack(parts(g1, 0, 2, 1, 3), parts(g2, 0, 2, 1, 3))", "gc": "g3", "bc": "b3"}),
    Row("BatchNormLSTM", 72, {
        "W": "parts(W, 0, 2, 1, 3)", "U": "parts(U, 0, 2, 1, 3)", "b": "parts(b, 0, 2, 1, 3)",
        "gain": "stack(parts(g1, 0, 2, 1, 3), parts(g2, 0, 2, 1, 3))", "gc": "g3", "bc": "b3",
        "mean_x": STEPS.format("mx"), "dev_x": f"sqrt({STEPS.format('vx')} + 1e-5)",
        "mean_h": STEPS.format("mh"), "dev_h": f"sqrt({STEPS.format('vh')} + 1e-5)",
        "mean_c": "mc", "dev_c": "sqrt(vc + 1e-5)"}, {"steps": 5}),
    Row("MultiplicativeLSTM", 73, IFGO | {"U": "stack(Vi, Vf, Vg, Vo)", "dm": "cm"}),
    Row("JANET", 74, {
        "h": "c", "W": "stack(Wf, Wg)", "U": "stack(Uf, Ug)", "b": "stack(bf, bg)"}),
    Row("MCLSTM", 76, {
        "W": "stack(Wi, Wf, Wg, Wo, Wm)", "U": "stack(Ui, Uf, Ug, Uo, Um)",
        "b": "stack(bi, bf, bg, bo, bm)"}),
    Row("ResLSTM", 77, IFGO | PEEPHOLES | {"P": "Wp", "R": "Wr"}),
    Row("NAS", 78, {
        name: f"parts({name}, 0, 1, 2, 3, 4, 5, 6, 7)" for name in "WUb"}),
    Row("RAN", 79, {"W": "stack(W, Wi, Wf)", "U": "stack(Ui, Uf)", "b": "stack(bi, bf)"}),
    Row("SlimLSTM", 80, {
        "W": "Wg", "U": "Ug", "b": "bg", "V": "stack(Ui, Uf, Uo)", "d": "stack(bi, bf, bo)"}),
    Row("SlimLSTM", 80, {"W": "Wg", "U": "Ug", "b": "bg", "V": "stack(Ui, Uf, Uo)"},
        {"gate_bias": False}, {
        "i = sig(Ui@h + bi)": "i = sig(Ui@h)", "f = sig(Uf@h + bf)": "f = sig(Uf@h)",
        "o = sig(Uo@h + bo)": "o = sig(Uo@h)"}, why="LSTM2"),
    Row("SlimLSTM", 80, {"W": "Wg", "U": "Ug", "b": "bg", "d": "stack(bi, bf, bo)"},
        {"gate_state": False}, {
        "i = sig(Ui@h + bi)": "i = sig(bi)", "f = sig(Uf@h + bf)": "f = sig(bf)",
        "o = sig(Uo@h + bo)": "o = sig(bo)"}, why="LSTM3"),
    Row("SLSTM", 81, {
        "W": "stack(Wg, Wi, Wf, Wo)", "R": "stack(Ug, Ui, Uf, Uo)[:, None]",
        "b": "stack(bg, bi, bf, bo)"}, {"heads": 1},
        {"n' = maxi(fe*n + ie, 1.0)": "n' = fe*n + ie"}, why="the paper does not clamp n"),
    Row("PhasedLSTM", 83, INNER | {
        "lstm.p": "stack(pi, pf, po)", "log_tau": "log(tau)", "log_ron": "log(ron)",
        "shift": "sh"}),
    Row("ConvLSTM", 85, IMAGES | PEEPHOLES, {"features": "C", "bias": False}),
    Row("ConvLSTM", 85, IMAGES, {"features": "C", "bias": False, "peephole": False}, {
        "i = sig(conv(Wi, x) + conv(Ui, h) + pi*c)": "i = sig(conv(Wi, x) + conv(Ui, h))",
        "f = sig(conv(Wf, x) + conv(Uf, h) + pf*c)": "f = sig(conv(Wf, x) + conv(Uf, h))",
        "o = sig(conv(Wo, x) + conv(Uo, h) + po*c')": "o = sig(conv(Wo, x) + conv(Uo, h))"},
        why="as in Keras and Flax"),
    Row("ConvLSTM", 85, IMAGES | {
        "b": "stack(pi[:, 0, 0], pf[:, 0, 0], pi[:, 0, 1], po[:, 0, 0])"},
        {"features": "C", "peephole": False}, {
        "i = sig(conv(Wi, x) + conv(Ui, h) + pi*c)":
        "i = sig(conv(Wi, x) + conv(Ui, h) + pi[:, :1, :1])",
        "f = sig(conv(Wf, x) + conv(Uf, h) + pf*c)":
        "f = sig(conv(Wf, x) + conv(Uf, h) + pf[:, :1, :1])",
        "c' = f*c + i*tanh(conv(Wg, x) + conv(Ug, h))":
        "c' = f*c + i*tanh(conv(Wg, x) + conv(Ug, h) + pi[:, :1, 1:2])",
        "o = sig(conv(Wo, x) + conv(Uo, h) + po*c')":
        "o = sig(conv(Wo, x) + conv(Uo, h) + po[:, :1, :1])"},
        why="the entry has no biases: numbers of the peepholes stand for them"),
    Row("DepthGatedLSTM", 86, IFGO | {
        "W": "stack(Wi, Wf, Wg, Wo, Wd)", "b": "stack(bi, bf, bg, bo, bd)", "p": "stack(wd, wb)",
        "below": "cb"}),
    Row("HyperLSTM", 89, {
        "small.W": "parts(A, 0, 1, 2, 3)", "small.U": "parts(B, 0, 1, 2, 3)",
        "small.b": "parts(d, 0, 1, 2, 3)", "gain": "g",
        **{name: f"parts({name}, 0, 1, 2, 3)" for name in ("Zh", "Zx", "Zb", "zh", "zx")}},
        {"hyper": "M", "features": "N"}),
    Row("NestedLSTM", 90, IFGO | {
        "inner.W": "stack(Ai, Af, Ag, Ao)", "inner.U": "stack(Bi, Bf, Bg, Bo)",
        "inner.b": "stack(ei, ef, eg, eo)"}),
    Row("SkipLSTM", 91, INNER | {"u": "u[..., 0]", "w": "wp[0]", "b": "bp[0]"},
        recurrence=("NL-DENSE", 1), why="u is a number, and w the weights of a sum"),
    Row("ZoneoutLSTM", 93, INNER | {"keep_h": "zh", "keep_c": "zc"}),
    Row("RecurrentDropoutLSTM", 94, IFGO | {"mask": "dm"}),
    Row("QRNN", 95, {
        "W": "stack(Wz, Wf, Wo)", "V": "stack(Vz, Vf, Vo)", "b": "stack(bz, bf, bo)", "x@1": "xp"}),
    Row("SRU", 96, {"W": "stack(W, Wf, Wr)", "v": "stack(vf, vr)", "b": "stack(bf, br)"}),
    Row("SRU", 96, {"W": "stack(W, Wf, Wr)", "b": "stack(bf, br)"}, {"peephole": False}, {
        "f = sig(Wf@x + vf*c + bf)": "f = sig(Wf@x + bf)",
        "r = sig(Wr@x + vr*c + br)": "r = sig(Wr@x + br)"}, ("LIN-DIAG", 0),
        why="the first version's gates do not read the state"),
    Row("MinGRU", 97, {"Wh": "W"}, says={
        "z = sig(Wz@x + bz)": "z = sig(Wz@x)",
        "h' = (1-z)*h + z*(W@x + b)": "h' = (1-z)*h + z*(W@x)"}, why="ours has no biases"),
    Row("HGRN", 99, {"W": "stack(Wf, Wi, Wg)", "b": "bf", "bound": "lb"}),
    Row("RGLRU", 100, {"W": "stack(Wa, Wx)", "b": "stack(ba, bx)"}),
    Row("LRU", 101, {"theta": "th", "gamma": "g", "C": "Cm", "D": "Dm"}, {"hidden": "N"}),
    Row("S4D", 102, {"rate": "lr", "turn": "li", "C": "Cm", "dt": "ld", "D": "Dm"}),
    Row("S4", 104, {"A": "Am", "C": "Cm", "D": "Dm"}),
    Row("DampedEMA", 105, {"alpha": "al", "delta": "de", "beta": "be", "eta": "et"}),
    Row("Mamba", 106, {"A": "Al", "D": "Dm"}),
    Row("Mamba2", 107, {"log_a": "al", "D": "Dm"}),
    Row("LinearAttention", 108, MATRIX, says={
        "q = exp(Wq@x)": "q = where(Wq@x > 0, Wq@x + 1, exp(Wq@x))",
        "k = exp(Wk@x)": "k = where(Wk@x > 0, Wk@x + 1, exp(Wk@x))"},
        why="the paper's features are elu + 1"),
    Row("RetNet", 109, MATRIX),
    Row("GLA", 110, MATRIX),
    Row("HGRN2", 111, MATRIX | {"bound": "lb"}),
    Row("DeltaNet", 113, MATRIX, says={"k = Wk@x": "k = silu(Wk@x)"},
        why="keys go through silu, as in Yang et al. 2024"),
    Row("GatedDeltaNet", 114, MATRIX | {"log_a": "al"}),
    Row("DeltaProduct", 116, MATRIX),
    Row("RWKV4", 119, {
        "a": "aa", "b": "bb", "m": "pp", "x@1": "xp", "mu": "stack(mr, mk, mv)",
        "W": "stack(Wr, Wk, Wv)"}),
    Row("RWKV6", 120, MATRIX | {"x@1": "xp", "w": "w0"}),
    Row("MLSTM", 122, {"C": "T(Cm)"}),
    Row("Titans", 124, MATRIX | {"M": "T(M)", "w": "stack(wt, we, wa)"}),
    Row("LIF", 126),
)  # fmt: skip

# Standard cells that are in no entry of the catalogue: they have no state.
STATELESS = ("Dense", "Embedding")

# What suites run that go through cells in many ways: of every kind one or two.
CORE = (
    "RNN", "LSTM", "LSTMP", "GRU", "SLSTM", "MinGRU", "DeltaNet", "Dense", "Embedding",
)  # fmt: skip
