//! The reader against tables of texts, the numbers against the standard library, the writer against the reader.

use super::*;

/// Reads a whole text by skipping it.
fn verdict(text: &[u8]) -> String {
    let mut reader = Reader::new(text);
    match reader.skip().and_then(|()| reader.finish()) {
        Ok(()) => "fine".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// Small, fast and good enough to scatter bits (Marsaglia, "Xorshift RNGs", 2003).
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn sound_texts_are_read() {
    let texts = [
        "null",
        " true ",
        "\t\r\nfalse\n",
        "0",
        "-0",
        "10",
        "1.5",
        "1e5",
        "1E+5",
        "-1.25e-3",
        "123456789012345678901234567890",
        "1e-400",
        "NaN",
        "Infinity",
        "-Infinity",
        r#""""#,
        r#""aé\u00e9\ud83d\ude00\"\\\/\b\f\n\r\t""#,
        "[]",
        "[ ]",
        "{}",
        "{ }",
        "[1,2.5,\"a\",null,[],{},3]",
        "[[1,2],[3,4]]",
        "[NaN, -Infinity,1]",
        "[9007199254740993, 1]",
        "[1,[2],3,{\"a\":4},5]",
        r#"{"a":1,"b":[{"c":null}],"a":2}"#,
        " { \"a\" : [ 1 , 2 ] , \"b\" : { } } ",
        "\"\u{7f}\"",
    ];
    for text in texts {
        assert_eq!(verdict(text.as_bytes()), "fine", "{text}");
    }
}

#[test]
fn unsound_texts_are_refused_with_place_and_reason() {
    let table = [
        ("", "line 1 column 1: expected a value, met the end of the text"),
        ("{\"instances\": }", "line 1 column 15: expected a value, met `}`"),
        ("[1,,2]", "line 1 column 4: expected a value, met `,`"),
        ("[1,]", "line 1 column 4: expected a value, met `]`"),
        ("[\"a\",]", "line 1 column 6: expected a value, met `]`"),
        ("[,1]", "line 1 column 2: expected a value, met `,`"),
        ("[1 2]", "line 1 column 4: expected `,` or `]`, met `2`"),
        ("[1", "line 1 column 3: expected `,` or `]`, met the end of the text"),
        ("[1}", "line 1 column 3: expected `,` or `]`, met `}`"),
        ("[\n  1,\n  é]", "line 3 column 3: expected a value, met `é`"),
        ("[\"é\" x]", "line 1 column 6: expected `,` or `]`, met `x`"),
        ("{\"a\":1,}", "line 1 column 8: expected a key, met `}`"),
        ("{,}", "line 1 column 2: expected a key or `}`, met `,`"),
        ("{\"a\" 1}", "line 1 column 6: expected `:`, met `1`"),
        ("{\"a\":1 \"b\":2}", "line 1 column 8: expected `,` or `}`, met `\"`"),
        ("{1:2}", "line 1 column 2: expected a key or `}`, met `1`"),
        ("{\"a\":1]", "line 1 column 7: expected `,` or `}`, met `]`"),
        ("1 2", "line 1 column 3: expected the end of the text, met `2`"),
        ("]", "line 1 column 1: expected a value, met `]`"),
        ("01", "line 1 column 1: a number may not begin with a superfluous zero"),
        ("[-01.5]", "line 1 column 3: a number may not begin with a superfluous zero"),
        ("+1", "line 1 column 1: expected a value, met `+`"),
        (".5", "line 1 column 1: expected a value, met `.`"),
        ("1.", "line 1 column 3: expected a digit, met the end of the text"),
        ("[1.e5]", "line 1 column 4: expected a digit, met `e`"),
        ("1e", "line 1 column 3: expected a digit, met the end of the text"),
        ("1e+", "line 1 column 4: expected a digit, met the end of the text"),
        ("-", "line 1 column 2: expected a digit, met the end of the text"),
        ("-NaN", "line 1 column 2: expected a digit, met `N`"),
        ("0x10", "line 1 column 2: expected the end of the text, met `x`"),
        ("1e400", "line 1 column 1: number out of range"),
        ("[1, -1e400]", "line 1 column 5: number out of range"),
        ("Nan", "line 1 column 3: expected `NaN`, met `n`"),
        ("[Inf]", "line 1 column 5: expected `Infinity`, met `]`"),
        ("nul", "line 1 column 4: expected `null`, met the end of the text"),
        ("trUe", "line 1 column 3: expected `true`, met `U`"),
        ("\"a", "line 1 column 3: expected the closing quote of a string, met the end of the text"),
        (
            "\"a\nb\"",
            "line 1 column 3: the control character U+000A in a string must be written as an escape",
        ),
        ("\"\\x\"", "line 1 column 3: expected one of `\"\\/bfnrtu` after a backslash, met `x`"),
        ("\"\\u12g4\"", "line 1 column 6: expected four hexadecimal digits, met `g`"),
        ("\"a\\ud800\"", "line 1 column 3: an escape holds half of a surrogate pair without the other half"),
        (
            "\"\\ud800\\u0041\"",
            "line 1 column 2: an escape holds half of a surrogate pair without the other half",
        ),
        ("\"\\udc00\"", "line 1 column 2: an escape holds half of a surrogate pair without the other half"),
        ("\u{feff}1", "line 1 column 1: expected a value, met `\u{feff}`"),
        ("\0", "line 1 column 1: expected a value, met the control character U+0000"),
        ("'a'", "line 1 column 1: expected a value, met `'`"),
        ("[1] // no", "line 1 column 5: expected the end of the text, met `/`"),
    ];
    for (text, want) in table {
        assert_eq!(verdict(text.as_bytes()), want, "{text}");
    }
    let raw: [(&[u8], &str); 3] = [
        (b"\xff", "line 1 column 1: expected a value, met the byte 0xff"),
        (b"\"ab\xc3\x28\"", "line 1 column 4: a string holds bytes that are not UTF-8"),
        (b"\"\\n\xe2\x82\"", "line 1 column 4: a string holds bytes that are not UTF-8"),
    ];
    for (text, want) in raw {
        assert_eq!(verdict(text), want, "{text:?}");
    }
}

#[test]
fn errors_speak_to_the_client_in_the_words_of_kserve() {
    let error = Error::from(Reader::new(b"[x").skip().unwrap_err());
    assert_eq!(error.code, crate::Code::InvalidInput);
    assert_eq!(error.message, "Unrecognized request format: line 1 column 2: expected a value, met `x`");
    let wrong_kind = Reader::new(b" \"1\"").float().unwrap_err();
    assert_eq!(wrong_kind.to_string(), "line 1 column 2: expected a number, met `\"`");
}

#[test]
fn depth_bombs_are_refused() {
    let too_deep = "line 1 column 65: arrays and objects are nested deeper than 64";
    assert_eq!(verdict(&b"[".repeat(100_000)), too_deep);
    assert_eq!(
        verdict(&b"{\"\":".repeat(100_000)),
        "line 1 column 257: arrays and objects are nested deeper than 64"
    );
    let text = format!("{}{}", "[".repeat(64), "]".repeat(64));
    assert_eq!(verdict(text.as_bytes()), "fine");
    let deepest = Limits { depth: usize::MAX };
    let bomb = b"[".repeat(100_000);
    assert_eq!(
        Reader::with_limits(&bomb, deepest).skip().unwrap_err().kind,
        ErrorKind::TooDeep(Limits::MAX_DEPTH)
    );
}

#[test]
fn numbers_keep_their_kind() {
    let table = [
        ("0", Number::Int(0)),
        ("-0", Number::Int(0)),
        ("9223372036854775807", Number::Int(i64::MAX)),
        ("-9223372036854775808", Number::Int(i64::MIN)),
        ("9223372036854775808", Number::Uint(1 << 63)),
        ("18446744073709551615", Number::Uint(u64::MAX)),
        ("18446744073709551616", Number::Float(18_446_744_073_709_551_616.0)),
        ("-9223372036854775809", Number::Float(-9_223_372_036_854_775_808.0)),
        ("1.0", Number::Float(1.0)),
        ("1e2", Number::Float(100.0)),
        ("-Infinity", Number::Float(f64::NEG_INFINITY)),
    ];
    for (text, want) in table {
        assert_eq!(Reader::new(text.as_bytes()).number(), Ok(want), "{text}");
    }
    assert_eq!(Reader::new(b"-0").float().map(f64::to_bits), Ok((-0.0_f64).to_bits()));
}

#[test]
fn every_way_to_print_a_double_reads_back_to_the_same_bits() {
    let check = |text: &str| {
        let got = Reader::new(text.as_bytes()).float().unwrap();
        let want: f64 = text.parse().unwrap();
        assert_eq!(got.to_bits(), want.to_bits(), "{text}");
    };
    let mut state = 0x9e37_79b9_7f4a_7c15;
    for _ in 0..20_000 {
        let any = f64::from_bits(random(&mut state));
        if any.is_finite() {
            check(&format!("{any:e}"));
            check(&format!("{any:.25e}"));
        }
        // Magnitudes people send.
        let unit = (random(&mut state) >> 11) as f64 / (1_u64 << 53) as f64;
        let scaled = (unit - 0.5) * 10_f64.powi((random(&mut state) % 40) as i32 - 20);
        for text in [
            format!("{scaled}"),
            format!("{scaled:.3}"),
            format!("{scaled:.17}"),
            format!("{:?}", scaled as f32),
        ] {
            check(&text);
        }
        // Any 19 digits with any power near the table's ends; halves between neighbours, the hardest to round.
        let digits = random(&mut state) >> (random(&mut state) % 60);
        check(&format!("{digits}e{}", (random(&mut state) % 80) as i32 - 40));
        let half = (random(&mut state) >> 10) | 1 << 53 | 1;
        check(&format!("{half}.0"));
        let power = random(&mut state) % 5;
        check(&format!("{}e-{power}", half * 5_u64.pow(power as u32)));
    }
    for text in [
        "2.2250738585072011e-308",
        "4.9e-324",
        "1.7976931348623157e308",
        "0.0",
        "0e5",
        "0.000",
        "9007199254740993",
    ] {
        check(text);
        check(&format!("-{text}"));
    }
}

#[test]
fn singles_are_rounded_once() {
    let check = |text: &str| {
        let got = Reader::new(text.as_bytes()).float32().unwrap();
        assert_eq!(got.to_bits(), text.parse::<f32>().unwrap().to_bits(), "{text}");
    };
    let mut state = 11;
    for _ in 0..20_000 {
        let single = f32::from_bits(random(&mut state) as u32);
        let next = f32::from_bits(single.to_bits() + 1);
        if single.is_finite() && next.is_finite() {
            check(&format!("{single:e}"));
            // Half way to the next one, and a breath above and below.
            let half = f64::midpoint(single.into(), next.into());
            check(&format!("{half:.1}"));
            check(&format!("{half:.60e}").replace('e', "1e"));
            check(&format!("{:.1}", half * (1.0 - 1e-16)));
        }
    }
    assert_eq!(
        Reader::new(b"1e39").float32().unwrap_err().to_string(),
        "line 1 column 1: number out of range"
    );
    assert_eq!(Reader::new(b"-Infinity").float32(), Ok(f32::NEG_INFINITY));
}

#[test]
fn runs_of_numbers_stop_where_a_double_would_not_do() {
    let read = |text: &str| {
        let mut out = Vec::new();
        let mut reader = Reader::new(text.as_bytes());
        reader.begin_array().unwrap();
        reader.numbers(&mut out).map(|run| (out, run.closed, run.integers, reader.offset()))
    };
    assert_eq!(read("[]"), Ok((vec![], true, true, 2)));
    assert_eq!(read("[1, -2 ,3]"), Ok((vec![1.0, -2.0, 3.0], true, true, 10)));
    assert_eq!(read("[1, 2.0]"), Ok((vec![1.0, 2.0], true, false, 8)));
    assert_eq!(read("[1, Infinity]"), Ok((vec![1.0, f64::INFINITY], true, false, 13)));
    assert_eq!(
        read("[9007199254740992, 9007199254740993]"),
        Ok((vec![9_007_199_254_740_992.0], false, true, 17))
    );
    assert_eq!(read("[ [1]]"), Ok((vec![], false, true, 1)));
    assert_eq!(read("[1, \"a\"]").map(|it| it.3), Ok(2));
    assert_eq!(read("[1,]").unwrap_err().to_string(), "line 1 column 4: expected a value, met `]`");
    assert_eq!(read("[1,,2]").map(|it| it.1), Ok(false));
    assert_eq!(read("[1;2]").unwrap_err().to_string(), "line 1 column 3: expected `,` or `]`, met `;`");

    let mut ints = Vec::new();
    let mut reader = Reader::new(b"[9007199254740993, -9223372036854775808, 1.5]");
    reader.begin_array().unwrap();
    assert_eq!(reader.integers(&mut ints), Ok(false));
    assert_eq!(ints, [9_007_199_254_740_993, i64::MIN]);
    assert_eq!(reader.next_element(), Ok(true));
    assert_eq!(reader.number(), Ok(Number::Float(1.5)));
    assert_eq!(reader.next_element(), Ok(false));
    assert_eq!(reader.finish(), Ok(()));
}

#[test]
fn a_clone_is_a_bookmark_and_strings_are_borrowed_unless_escaped() {
    let mut reader =
        Reader::new(r#"{"plain text, long enough": "caf\u00e9 \ud83d\ude00", "k": [1, true]}"#.as_bytes());
    reader.begin_object().unwrap();
    let mark = reader.clone();
    assert!(matches!(reader.next_key(), Ok(Some(std::borrow::Cow::Borrowed("plain text, long enough")))));
    assert_eq!(reader.string().unwrap(), "café 😀");
    reader = mark;
    reader.next_key().unwrap();
    reader.skip().unwrap();
    assert_eq!(reader.next_key().unwrap().as_deref(), Some("k"));
    reader.begin_array().unwrap();
    assert_eq!(reader.peek(), Ok(Kind::Number));
    assert!(reader.next_element().unwrap());
    assert_eq!(reader.float(), Ok(1.0));
    assert!(reader.next_element().unwrap());
    assert_eq!(reader.boolean(), Ok(true));
    assert_eq!(reader.next_element(), Ok(false));
    assert_eq!(reader.next_key(), Ok(None));
    assert_eq!(reader.finish(), Ok(()));
}

#[test]
fn no_damage_makes_the_reader_panic() {
    let sound = r#"{"a": [1, -2.5e-3, "x\u00e9\n", {"b": [true, false, null, NaN]}], "é": "\ud83d\ude00"}"#
        .as_bytes();
    assert_eq!(verdict(sound), "fine");
    for at in 0..sound.len() {
        assert_ne!(verdict(&sound[..at]), "fine", "cut at {at}");
        for byte in 0..=255 {
            let mut damaged = sound.to_vec();
            damaged[at] = byte;
            verdict(&damaged);
        }
    }
}

#[test]
fn what_is_written_reads_back() {
    let written = |push: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        push(&mut out);
        String::from_utf8(out).unwrap()
    };
    let double = |value| written(&|out| push_f64(out, value, NonFinite::Null));
    let single = |value| written(&|out| push_f32(out, value, NonFinite::Tokens));
    assert_eq!([double(1.0), double(-0.0), double(0.1), double(f64::NAN)], ["1.0", "-0.0", "0.1", "null"]);
    assert_eq!([single(0.1), single(16_777_216.0)], ["0.1", "16777216.0"]);
    assert_eq!(
        [single(f32::NAN), single(f32::INFINITY), single(-f32::INFINITY)],
        ["NaN", "Infinity", "-Infinity"]
    );
    assert_eq!(written(&|out| push_i64(out, i64::MIN)), i64::MIN.to_string());
    assert_eq!(written(&|out| push_u64(out, u64::MAX)), u64::MAX.to_string());
    assert_eq!(written(&|out| push_bool(out, true)), "true");

    let all: String = (0..0x2000).filter_map(char::from_u32).chain("\u{2028}😀".chars()).collect();
    let text = written(&|out| push_str(out, &all));
    assert!(text.starts_with(r#""\u0000\u0001"#) && text.contains(r#"\b\t\n\u000b\f\r"#));
    assert_eq!(Reader::new(text.as_bytes()).string().unwrap(), all);

    let mut state = 7;
    for _ in 0..20_000 {
        let value = f64::from_bits(random(&mut state));
        if value.is_finite() {
            let text = double(value);
            assert!(text.contains(['.', 'e']), "{text}");
            assert_eq!(Reader::new(text.as_bytes()).float().map(f64::to_bits), Ok(value.to_bits()), "{text}");
        }
    }
}

/// What a grid is, read without haste: lengths, numbers, and where it ends.
fn slowly(reader: &mut Reader<'_>, level: usize, lengths: &mut Vec<usize>, out: &mut Vec<f64>) -> Option<()> {
    if reader.peek().ok()? != Kind::Array {
        out.push(if reader.peek().ok()? == Kind::Null {
            reader.null().map(|()| f64::NAN).ok()?
        } else {
            reader.float().ok()?
        });
        return (level == lengths.len()).then_some(());
    }
    let first = out.is_empty();
    if first {
        lengths.push(0);
    }
    reader.begin_array().ok()?;
    let mut count = 0;
    while reader.next_element().ok()? {
        slowly(reader, level + 1, lengths, out)?;
        count += 1;
    }
    let length = lengths.get_mut(level)?;
    if *length == 0 {
        *length = count;
    }
    (count > 0 && *length == count).then_some(())
}

#[test]
fn a_grid_is_read_as_the_rest_of_the_reader_would() {
    fn check<T: Element + Into<f64>>(text: &[u8], want: Option<&(Vec<usize>, Vec<f64>, usize)>, exact: bool) {
        let (mut reader, mut out) = (Reader::new(text), vec![T::default()]);
        let got = reader.grid(&mut out, usize::MAX);
        let shown = String::from_utf8_lossy(text);
        let Some(lengths) = got else {
            assert!(want.is_none() || !exact, "{shown}");
            assert_eq!((reader.offset(), out.len()), (0, 1), "{shown}");
            return;
        };
        let (want_lengths, numbers, end) = want.unwrap_or_else(|| panic!("accepted {shown}"));
        assert_eq!((&lengths, reader.offset()), (want_lengths, *end), "{shown}");
        for (got, want) in out[1..].iter().zip(numbers) {
            let got: f64 = (*got).into();
            assert!(
                got == *want || got.is_nan() && want.is_nan() || got == f64::from(*want as f32),
                "{shown}"
            );
        }
        assert_eq!(out.len() - 1, numbers.len(), "{shown}");
    }
    let both = |text: &[u8]| {
        let (mut reader, mut lengths, mut numbers) = (Reader::new(text), Vec::new(), Vec::new());
        let want = (reader.peek() == Ok(Kind::Array))
            .then(|| slowly(&mut reader, 0, &mut lengths, &mut numbers))
            .flatten()
            .map(|()| (lengths, numbers, reader.offset()));
        check::<f64>(text, want.as_ref(), true);
        check::<f32>(text, want.as_ref(), false);
        check::<i32>(text, want.as_ref(), false);
        want.is_some()
    };
    let sound = [
        "[1]",
        "[[1, 2], [3, 4]]",
        "[[[1,2,3],[4,5,6]],[[7,8,9],[10,11,12]]] , [",
        " [\n  [0.5, -1.25e-3],\n  [-0, 1234567.5] ]",
        "[null, NaN, -Infinity, 12345678901234567890]",
        "[-1.0000000000000000000001,  0.123456789012345678901234]",
        "[[255],[0],[17]]",
    ];
    let other =
        ["[]", "[[]]", "[[1],2]", "[1,[2]]", "[[1,2],[3]]", "[[1],[]]", "[1,]", "[\"1\"]", "[true]", "[1"];
    for text in sound {
        assert!(both(text.as_bytes()), "{text}");
    }
    for text in other {
        assert!(!both(text.as_bytes()), "{text}");
    }
    // Every way to damage one byte, and a few to damage more, far from the end of the text and near it.
    let alphabet = b"[],. -+0123456789eENn\n\"\xff";
    let mut state = 5;
    for text in sound {
        for tail in ["", ", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]"] {
            for at in 0..text.len() {
                for &byte in alphabet {
                    let mut damaged = [text, tail].concat().into_bytes();
                    damaged[at] = byte;
                    both(&damaged);
                    let second = random(&mut state) as usize % text.len();
                    damaged[second] = alphabet[random(&mut state) as usize % alphabet.len()];
                    both(&damaged);
                }
            }
        }
    }
    // More than there may be, and more levels than anybody has.
    let mut out = vec![1.0];
    assert_eq!(Reader::new(b"[2, 3, 4]").grid(&mut out, 3), None);
    assert_eq!(Reader::new(b"[2, 3, 4]").grid(&mut out, 4), Some(vec![3]));
    let deep = format!("{}1{}", "[".repeat(20), "]".repeat(20));
    assert_eq!(Reader::new(deep.as_bytes()).grid(&mut out, 9), None);
}

#[test]
fn a_grid_rounds_each_number_once() {
    fn check<T: Element + std::str::FromStr + PartialEq + std::fmt::Debug>(
        texts: &[String],
        separator: &str,
    ) {
        let rows: Vec<String> = texts.chunks(3).map(|it| format!("[{}]", it.join(separator))).collect();
        let text = format!("[{}]", rows.join(separator));
        let mut out = Vec::<T>::new();
        let lengths = Reader::new(text.as_bytes()).grid(&mut out, usize::MAX);
        assert_eq!(lengths, Some(vec![texts.len() / 3, 3]));
        for (text, got) in texts.iter().zip(out) {
            assert_eq!(text.parse().ok(), Some(got), "{text}");
        }
    }
    let mut state = 0x1234_5678_9abc_def1;
    for round in 0..40 {
        let separator = if round % 2 == 0 { ", " } else { "," };
        let (mut texts, mut integers) = (Vec::new(), Vec::new());
        while texts.len() < 300 {
            let bits = random(&mut state);
            let unit = (bits >> 11) as f64 / (1_u64 << 53) as f64;
            let digits = (random(&mut state) % 25) as usize;
            let sign = if bits & 1 == 0 { "" } else { "-" };
            let half = f64::midpoint(f64::from(unit as f32), f64::from((unit as f32).next_up()));
            for text in [
                format!("{unit:.digits$}"),
                format!("{:.digits$}", unit * 1e4),
                format!("{unit}"),
                format!("{half}"),
                format!("{:e}", unit * 1e-3),
                format!("{}.{:0digits$}", bits % 10, random(&mut state) >> (bits % 60)),
            ] {
                texts.push(format!("{sign}{text}"));
                integers.push(format!("{sign}{}", (bits >> 1) >> (random(&mut state) % 63)));
            }
        }
        check::<f64>(&texts, separator);
        check::<f32>(&texts, separator);
        check::<i64>(&integers, separator);
    }
}

#[test]
fn numbers_of_any_kind_stay_integers_as_long_as_they_can() {
    let read = |text: &str, mut numbers: Numbers| {
        let lengths = Reader::new(text.as_bytes()).grid_of_any(&mut numbers, usize::MAX);
        (lengths, numbers)
    };
    let integers = |it: &[i64]| Numbers::Integers(it.to_vec());
    let floats = |it: &[f64]| Numbers::Floats(it.to_vec());
    assert_eq!(read("[1, 2]", integers(&[])), (Some(vec![2]), integers(&[1, 2])));
    assert_eq!(read("[1, 2.5]", integers(&[7])), (Some(vec![2]), floats(&[7.0, 1.0, 2.5])));
    assert_eq!(read("[0.5, 2]", integers(&[])), (Some(vec![2]), floats(&[0.5, 2.0])));
    assert_eq!(read("[3]", floats(&[0.5])), (Some(vec![1]), floats(&[0.5, 3.0])));
    // What a double does not hold cannot become one.
    assert_eq!(
        read("[9007199254740993]", integers(&[])),
        (Some(vec![1]), integers(&[9_007_199_254_740_993]))
    );
    assert_eq!(read("[9007199254740993, 0.5]", integers(&[1])), (None, integers(&[1])));
}

#[test]
fn many_numbers_are_written_as_one_by_one() {
    fn check<T: Digits>(values: &[T], push: impl Fn(&mut Vec<u8>, T)) {
        let (mut want, mut got) = (Vec::new(), Vec::new());
        for &value in values {
            push(&mut want, value);
            want.push(b',');
            push_nested(&mut got, &[], &[value], NonFinite::Tokens);
            got.push(b',');
        }
        let text = String::from_utf8(want).unwrap();
        assert_eq!(String::from_utf8(got).unwrap(), text);
        let mut list = Vec::new();
        push_nested(&mut list, &[values.len()], values, NonFinite::Tokens);
        assert_eq!(String::from_utf8(list).unwrap(), format!("[{}]", text.trim_end_matches(',')));
    }
    let mut state = 3;
    let bits: Vec<u64> = (0..10_000).map(|_| random(&mut state)).collect();
    // Of any magnitude; of those that are not by zmij; with few digits.
    let wide = bits.iter().map(|&it| f64::from_bits(it));
    let usual = bits.iter().map(|&it| f64::from_bits(it >> 12 | (1012 + it % 70) << 52));
    let short = bits.iter().map(|&it| (it >> 40) as f64 / 10_f64.powi((it % 9) as i32));
    let special =
        [0.0, -0.0, 1.0, 0.5, -1.5, f64::NAN, f64::INFINITY, f64::MAX, f64::MIN_POSITIVE, 9.999_999];
    let doubles: Vec<f64> = wide.chain(usual).chain(short).chain(special).collect();
    check(&doubles, |out, it| push_f64(out, it, NonFinite::Tokens));
    let wide = bits.iter().map(|&it| f32::from_bits(it as u32));
    let singles: Vec<f32> = wide.chain(doubles.iter().map(|&it| it as f32)).collect();
    check(&singles, |out, it| push_f32(out, it, NonFinite::Tokens));
    let integers: Vec<i64> = bits.iter().map(|&it| it as i64 >> (it % 64)).chain([i64::MIN, 0]).collect();
    check(&integers, push_i64);
    check(&bits.iter().map(|&it| it >> (it % 64)).collect::<Vec<u64>>(), push_u64);
    check(&(0..=u8::MAX).collect::<Vec<u8>>(), |out, it| push_u64(out, it.into()));
    check(&(i8::MIN..=i8::MAX).collect::<Vec<i8>>(), |out, it| push_i64(out, it.into()));

    let nested = |shape: &[usize]| {
        let mut out = b"x".to_vec();
        let values: Vec<u16> = (0..elements(shape) as u16).collect();
        push_nested(&mut out, shape, &values, NonFinite::Null);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(nested(&[]), "x0");
    assert_eq!(nested(&[2, 2, 1]), "x[[[0],[1]],[[2],[3]]]");
    assert_eq!([nested(&[0]), nested(&[2, 0]), nested(&[0, 2])], ["x[]", "x[[],[]]", "x[]"]);
    assert_eq!(nested(&[0, usize::MAX, usize::MAX]), "x[]");
}
