//! Operators on texts: as `StringNormalizer`, `Tokenizer` and `TfIdfVectorizer` prepare them for a model.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use weir_sdk::Data;

use super::super::super::super::Fault;
use super::super::attributes::{Setting, unsupported};
use super::super::value::{Args, Outcome, Run, as_integers, singles, tensor};
use super::binary::pairs;

/// The texts of an input.
pub(in super::super) fn texts<'a>(args: &'a Args<'_>, at: usize) -> Outcome<&'a [Bytes]> {
    match &args.get(at)?.data {
        Data::Bytes(texts) => Ok(texts),
        other => Err(format!("it takes texts, met {}", other.datatype()).into()),
    }
}

/// Changes the case of letters, one for one: a letter that would become several stays. So do bytes that are no UTF-8.
fn cased(text: &Bytes, case: &str) -> Bytes {
    fn alone<I: Iterator<Item = char>>(letter: char, mut made: I) -> char {
        match (made.next(), made.next()) {
            (Some(one), None) => one,
            _ => letter,
        }
    }
    let Ok(plain) = std::str::from_utf8(text) else { return text.clone() };
    match case {
        "LOWER" => plain.chars().map(|it| alone(it, it.to_lowercase())).collect::<String>().into(),
        "UPPER" => plain.chars().map(|it| alone(it, it.to_uppercase())).collect::<String>().into(),
        _ => text.clone(),
    }
}

pub(in super::super) fn normalizer(setting: &mut Setting) -> Result<Run, Fault> {
    let case = setting.text("case_change_action")?.unwrap_or_else(|| "NONE".to_owned());
    let sensitive = setting.int("is_case_sensitive")?.unwrap_or(0) != 0;
    let stops = setting.texts("stopwords")?;
    // Letters beyond ASCII follow the locale; all but Turkish have the rules of Unicode.
    let locale = setting.text("locale")?.unwrap_or_default();
    if locale.starts_with("tr") || locale.starts_with("az") {
        return Err(unsupported(format!("the locale `{locale}`")));
    }
    let stops: HashSet<Bytes> =
        stops.iter().map(|it| if sensitive { it.clone() } else { cased(it, "LOWER") }).collect();
    Ok(Box::new(move |args| {
        let it = args.get(0)?;
        let all = texts(args, 0)?;
        let stays = |it: &&Bytes| {
            stops.is_empty()
                || !if sensitive { stops.contains(*it) } else { stops.contains(&cased(it, "LOWER")) }
        };
        if !matches!(it.shape.as_slice(), [_] | [1, _]) {
            return Err(format!("it takes a list of texts, met the shape {:?}", it.shape).into());
        }
        let mut kept: Vec<Bytes> = all.iter().filter(stays).map(|it| cased(it, &case)).collect();
        // Of nothing an empty text is left.
        if kept.is_empty() {
            kept.push(Bytes::new());
        }
        let mut shape = it.shape.clone();
        if let Some(last) = shape.last_mut() {
            *last = kept.len();
        }
        Ok(vec![tensor(shape, Data::Bytes(kept))])
    }))
}

/// How a text is taken apart.
enum Cut {
    /// Each letter for itself.
    Letters,
    /// At any of these.
    At(Vec<String>),
    /// Words: what `[a-zA-Z0-9_]+` matches.
    Words,
}

/// `com.microsoft.Tokenizer`.
pub(in super::super) fn tokenizer(setting: &mut Setting) -> Result<Run, Fault> {
    let marks = setting.int("mark")?.unwrap_or(0) != 0;
    let filler = setting.bytes("pad_value")?.unwrap_or_default();
    let shortest = usize::try_from(setting.int("mincharnum")?.unwrap_or(1)).unwrap_or(1);
    let separators = setting.texts("separators")?;
    let expression = setting.text("tokenexp")?;
    setting.ignore(&["stopwords"]);
    let cut = match expression.as_deref() {
        Some("[a-zA-Z0-9_]+" | "\\w+") => Cut::Words,
        Some(other) => return Err(unsupported(format!("the expression `{other}`"))),
        None => {
            let plain =
                separators.iter().map(|it| String::from_utf8(it.to_vec()).ok()).collect::<Option<Vec<_>>>();
            let plain = plain.ok_or_else(|| Fault::malformed("a separator is no text"))?;
            let simple = |it: &String| {
                !it.contains(['\\', '[', ']', '(', ')', '*', '+', '?', '|', '^', '$', '{', '.'])
            };
            match plain.as_slice() {
                [one] if one.is_empty() => Cut::Letters,
                _ if plain.is_empty() || !plain.iter().all(simple) => {
                    return Err(unsupported("its separators, which are regular expressions,"));
                }
                _ => Cut::At(plain),
            }
        }
    };
    Ok(Box::new(move |args| {
        let it = args.get(0)?;
        let mut rows: Vec<Vec<Bytes>> = Vec::with_capacity(it.data.len());
        for text in texts(args, 0)? {
            let plain = std::str::from_utf8(text).map_err(|_| "a text is no UTF-8")?;
            let tokens = tokens(plain, &cut).into_iter().filter(|it| it.chars().count() >= shortest);
            let tokens = tokens.map(|it| Bytes::copy_from_slice(it.as_bytes()));
            // The marks of a text's start and end.
            let (start, end) =
                (marks.then(|| Bytes::from_static(b"\x02")), marks.then(|| Bytes::from_static(b"\x03")));
            rows.push(start.into_iter().chain(tokens).chain(end).collect());
        }
        let width = rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut shape = it.shape.clone();
        shape.push(width);
        let count = args.allow(&shape)?;
        let mut made = Vec::with_capacity(count);
        for mut row in rows {
            row.resize(width, filler.clone());
            made.append(&mut row);
        }
        Ok(vec![tensor(shape, Data::Bytes(made))])
    }))
}

fn tokens<'t>(text: &'t str, cut: &Cut) -> Vec<&'t str> {
    match cut {
        Cut::Letters => text.char_indices().map(|(at, it)| &text[at..at + it.len_utf8()]).collect(),
        Cut::Words => text
            .split(|it: char| !it.is_ascii_alphanumeric() && it != '_')
            .filter(|it| !it.is_empty())
            .collect(),
        Cut::At(separators) => {
            let mut parts = vec![text];
            for separator in separators {
                parts = parts.into_iter().flat_map(|it| it.split(separator.as_str())).collect();
            }
            parts.retain(|it| !it.is_empty());
            parts
        }
    }
}

pub(in super::super) fn concat(_: &mut Setting) -> Result<Run, Fault> {
    Ok(Box::new(|args| {
        let (a, b) = (texts(args, 0)?, texts(args, 1)?);
        let (a_shape, b_shape) = (&args.get(0)?.shape, &args.get(1)?.shape);
        let (x, y): (Vec<&[u8]>, Vec<&[u8]>) =
            (a.iter().map(|it| &it[..]).collect(), b.iter().map(|it| &it[..]).collect());
        let (shape, made) = pairs(args, (&x, a_shape), (&y, b_shape), |x, y| Bytes::from([x, y].concat()))?;
        Ok(vec![tensor(shape, Data::Bytes(made))])
    }))
}

/// How often something is there becomes a number.
#[derive(Clone, Copy, PartialEq)]
enum Weighing {
    Count,
    Presence,
    Product,
}

/// Words in a row, by the place of each in the vocabulary of single ones.
struct Vocabulary {
    words: HashMap<Bytes, u32>,
    numbers: HashMap<i64, u32>,
    /// What follows a node of the tree of rows of words, by word; the first node is the root.
    next: HashMap<(u32, u32), u32>,
    /// The column of the row of words that ends at a node.
    columns: Vec<Option<u32>>,
    width: usize,
    lengths: (usize, usize),
    skips: usize,
    weighing: Weighing,
    weights: Vec<f32>,
}

pub(in super::super) fn tf_idf(setting: &mut Setting) -> Result<Run, Fault> {
    let vocabulary = Vocabulary::new(setting)?;
    Ok(Box::new(move |args| {
        let it = args.get(0)?;
        let (rows, width, shape) = match it.shape.as_slice() {
            [] => (1, 1, vec![vocabulary.width]),
            [width] => (1, *width, vec![vocabulary.width]),
            [rows, width] => (*rows, *width, vec![*rows, vocabulary.width]),
            other => return Err(format!("it takes rows of texts, met the shape {other:?}").into()),
        };
        let count = args.allow(&shape)?;
        let mut counts = vec![0.0_f32; count];
        let words: Vec<Option<u32>> = match &it.data {
            Data::Bytes(texts) => texts.iter().map(|it| vocabulary.words.get(it).copied()).collect(),
            _ => as_integers(it)?.iter().map(|it| vocabulary.numbers.get(it).copied()).collect(),
        };
        for row in 0..rows {
            let words = &words[row * width..(row + 1) * width];
            vocabulary.count(words, &mut counts[row * vocabulary.width..][..vocabulary.width]);
        }
        vocabulary.weigh(&mut counts);
        Ok(vec![singles(shape, counts)])
    }))
}

impl Vocabulary {
    fn new(setting: &mut Setting) -> Result<Self, Fault> {
        let weighing = match setting.text("mode")?.as_deref() {
            Some("TF") => Weighing::Count,
            Some("IDF") => Weighing::Presence,
            Some("TFIDF") => Weighing::Product,
            other => return Err(unsupported(format!("the mode {other:?}"))),
        };
        let number = |name: &str, setting: &mut Setting| -> Result<usize, Fault> {
            let told = setting.int(name)?.and_then(|it| usize::try_from(it).ok());
            told.ok_or_else(|| Fault::malformed(format!("its attribute `{name}` is missing")))
        };
        let lengths = (number("min_gram_length", setting)?, number("max_gram_length", setting)?);
        let skips = number("max_skip_count", setting)?;
        let starts = setting.ints("ngram_counts")?;
        let columns = setting.ints("ngram_indexes")?;
        let weights = setting.floats("weights")?;
        let (texts, numbers) = (setting.texts("pool_strings")?, setting.ints("pool_int64s")?);
        let width = columns.iter().max().and_then(|&it| usize::try_from(it).ok()).map_or(0, |it| it + 1);
        // A column for each row of words, and none besides.
        if lengths.0 == 0
            || lengths.1 < lengths.0
            || width > columns.len()
            || columns.iter().any(|&it| it < 0)
        {
            return Err(Fault::malformed("its lengths or columns make no sense"));
        }
        if !weights.is_empty() && weights.len() != columns.len() {
            return Err(Fault::malformed(format!("{} weights for {} columns", weights.len(), columns.len())));
        }
        if skips > 32 || lengths.1 > 64 {
            return Err(unsupported("rows of more than 64 words, or with more than 32 left out,"));
        }
        // Weights come in the order of the rows of words.
        let mut by_column = vec![0.0; if weights.is_empty() { 0 } else { width }];
        for (&column, &weight) in columns.iter().zip(&weights) {
            by_column[usize::try_from(column).unwrap_or(0)] = weight;
        }
        let mut made = Self {
            words: HashMap::new(),
            numbers: HashMap::new(),
            next: HashMap::new(),
            columns: vec![None],
            width,
            lengths,
            skips,
            weighing,
            weights: by_column,
        };
        let pool = made.pool(texts, numbers);
        made.plant(&pool, &starts, &columns)?;
        Ok(made)
    }

    /// Numbers the words.
    fn pool(&mut self, texts: Vec<Bytes>, numbers: Vec<i64>) -> Vec<u32> {
        if texts.is_empty() {
            let number = |it: i64| {
                let next = self.numbers.len() as u32;
                *self.numbers.entry(it).or_insert(next)
            };
            numbers.into_iter().map(number).collect()
        } else {
            let number = |it: Bytes| {
                let next = self.words.len() as u32;
                *self.words.entry(it).or_insert(next)
            };
            texts.into_iter().map(number).collect()
        }
    }

    /// Grows the tree. The pool holds single words first, then pairs, and so on.
    fn plant(&mut self, pool: &[u32], starts: &[i64], columns: &[i64]) -> Result<(), Fault> {
        let wrong = || Fault::malformed("its counts of words in a row do not fit its words");
        let mut row = 0;
        for (at, &start) in starts.iter().enumerate() {
            let end = starts.get(at + 1).map_or(pool.len() as i64, |&it| it);
            let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
            let words = range.and_then(|(start, end)| pool.get(start..end)).ok_or_else(wrong)?;
            if !words.len().is_multiple_of(at + 1) {
                return Err(wrong());
            }
            for words in words.chunks_exact(at + 1) {
                let column = columns.get(row).and_then(|&it| u32::try_from(it).ok()).ok_or_else(wrong)?;
                row += 1;
                if (self.lengths.0..=self.lengths.1).contains(&(at + 1)) {
                    self.add(words, column);
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, words: &[u32], column: u32) {
        let mut node = 0;
        for &word in words {
            let fresh = self.columns.len() as u32;
            node = *self.next.entry((node, word)).or_insert(fresh);
            if node == fresh {
                self.columns.push(None);
            }
        }
        self.columns[node as usize] = Some(column);
    }

    /// Counts rows of words, also those with words left out between: each time as many.
    fn count(&self, words: &[Option<u32>], counts: &mut [f32]) {
        for pace in 1..=self.skips + 1 {
            for start in 0..words.len() {
                let mut node = 0;
                for (length, word) in words[start..].iter().step_by(pace).take(self.lengths.1).enumerate() {
                    let found = word.and_then(|word| self.next.get(&(node, word)));
                    let Some(&found) = found else { break };
                    node = found;
                    // Single words leave none out, and count once.
                    if pace > 1 && length == 0 {
                        continue;
                    }
                    if let Some(column) = self.columns[node as usize] {
                        counts[column as usize] += 1.0;
                    }
                }
            }
        }
    }

    fn weigh(&self, counts: &mut [f32]) {
        if self.weighing == Weighing::Presence {
            counts.iter_mut().for_each(|it| *it = it.min(1.0));
        }
        if self.weighing != Weighing::Count && !self.weights.is_empty() {
            for row in counts.chunks_exact_mut(self.width.max(1)) {
                row.iter_mut().zip(&self.weights).for_each(|(it, weight)| *it *= weight);
            }
        }
    }
}
