//! The tree, its limits, and the reader of fields.

use super::*;

/// Parses, writes each document as JSON and each problem as a line.
fn read(text: &str) -> String {
    let problems = Problems::new("f.yaml");
    let documents = parse(text, &problems);
    let lines = documents.iter().map(Node::to_json);
    lines.chain(problems.into_vec().iter().map(Problem::to_string)).collect::<Vec<_>>().join("\n")
}

fn check(text: &str, want: &str) {
    assert_eq!(read(text), want, "for the text {}", text.chars().take(200).collect::<String>());
}

#[test]
fn scalars_follow_the_core_schema() {
    check("[null, ~, NULL, Null, nULL]", r#"[null,null,null,null,"nULL"]"#);
    check("[true, FALSE, yes, no, on, tRue]", r#"[true,false,"yes","no","on","tRue"]"#);
    check("[0, -7, +7, 007, 0o17, 0x1F, -0x1F, 0xg, 1_000]", r#"[0,-7,7,7,15,31,"-0x1F","0xg","1_000"]"#);
    check(
        "[1., .5, -1.5e-3, 1e3, 1e, e3, ., -., 1.2.3]",
        r#"[1.0,0.5,-0.0015,1000.0,"1e","e3",".","-.","1.2.3"]"#,
    );
    check("[.inf, -.Inf, .NAN, inf, nan, infinity]", r#"[.inf,-.inf,.nan,"inf","nan","infinity"]"#);
    check("[9223372036854775807, 9223372036854775808]", "[9223372036854775807,9.223372036854776e+18]");
    check(r#"["1", 'true', !!str 1, !!int "1", !!float 1]"#, r#"["1","true","1",1,1.0]"#);
    check(
        "a: !!int x",
        "f.yaml:1:4: error: a: the tag `!!int` does not fit `x` or is not known; known are !!str, !!int, !!float, !!bool, !!null, !!seq and !!map",
    );
    check("1: a\ntrue: b\n", r#"{"1": "a","true": "b"}"#);
}

#[test]
fn json_is_yaml_and_is_written_so_that_it_reads_back() {
    check("{\n\t\"a\":1,\n\t\"b\":[\"\\/\\u0041\", null]}", r#"{"a": 1,"b": ["/A",null]}"#);
    // Python's json.dumps writes characters beyond the first plane as two escapes.
    check(r#"["\ud83d\ude00", "\\ud83d\\ude00"]"#, r#"["😀","\\ud83d\\ude00"]"#);
    check(
        r#"["\ud83d"]"#,
        "f.yaml:1:2: error: this is not YAML: while parsing a quoted scalar, found invalid Unicode character escape code",
    );
    let value =
        "a: \"\\0\\x7f\\u2028\\ufeff\\\"\\\\ é\"\nb: [0.1, 1e300, -5e-324, .nan]\nc: {'': {}, d: []}\n";
    let json = read(value);
    assert_eq!(
        json,
        r#"{"a": "\u0000\u007f\u2028\ufeff\"\\ é","b": [0.1,1e+300,-5e-324,.nan],"c": {"": {},"d": []}}"#
    );
    check(&json, &json);
}

#[test]
fn documents_aliases_and_merge_keys() {
    check("---\n---\na: 1\n...\n# nothing\n--- [b]\n", "{\"a\": 1}\n[\"b\"]");
    check("a: &x [1, &y {b: 2}]\nc: *x\nd: *y\n", r#"{"a": [1,{"b": 2}],"c": [1,{"b": 2}],"d": {"b": 2}}"#);
    check(
        "a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}\nc: {<<: [{p: 4}, *x]}\n",
        r#"{"a": {"p": 1,"q": 2},"b": {"q": 3,"p": 1},"c": {"p": 4,"q": 2}}"#,
    );
    check(
        "a: &x 1\n---\nb: *x\n",
        "{\"a\": 1}\nf.yaml:3:4: error: b: an alias names an anchor of another document, or one it stands in",
    );
    check(
        "a: &x [*x]",
        "f.yaml:1:8: error: a[0]: an alias names an anchor of another document, or one it stands in",
    );
}

#[test]
fn what_is_wrong_with_the_text_is_told_with_its_place() {
    check(
        "a: 1\nb:\n- c: 1\n  c: 2\na: 3\n",
        "{\"a\": 1,\"b\": [{\"c\": 1}]}\nf.yaml:4:3: error: b[0].c: the key is given again, first in line 3; keep one\nf.yaml:5:1: error: a: the key is given again, first in line 1; keep one",
    );
    check(
        "a: 1\n---\nb: [1, 2\nc: 3\n",
        "{\"a\": 1}\nf.yaml:4:2: error: b[1]: this is not YAML: illegal placement of ':' indicator",
    );
    check("? [a]\n: 1\n", "f.yaml:1:3: error: a key is a list or a map, expected a string");
    check(
        "a: !foo x",
        "f.yaml:1:4: error: a: the tag `!foo` does not fit `x` or is not known; known are !!str, !!int, !!float, !!bool, !!null, !!seq and !!map",
    );
}

#[test]
fn hostile_texts_are_refused_before_they_cost_anything() {
    let long = "x".repeat(10 << 20);
    check(&format!("a: {long}"), "f.yaml:1:1: error: the text has 10485763 bytes, at most 4194304 are read");
    let deepest = format!("{}1{}", "[".repeat(64), "]".repeat(64));
    check(&deepest, &deepest);
    for deep in ["[".repeat(65), "- ".repeat(1_000_000), "[{a: ".repeat(33)] {
        let (place, message) =
            ("[0]".repeat(64), "lists and maps stand 65 deep in each other, at most 64 levels are read");
        let told = read(&deep);
        assert!(told.contains(message) || told.contains(&place), "{told}");
    }
    // Two anchors below the limit that are not when one stands in the other.
    let half = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    let text = format!("a: &a {half}\nb: {}*a{}", "[".repeat(30), "]".repeat(30));
    assert!(read(&text).contains("2:34: error: b[0]"), "{}", read(&text));

    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..30 {
        let before = vec![format!("*a{}", level - 1); 10].join(",");
        bomb += &format!("a{level}: &a{level} [{before}]\n");
    }
    assert!(
        read(&bomb).contains("more than 100000 values, counting those that aliases repeat"),
        "{}",
        read(&bomb)
    );
    let text = format!("a: &a {}\nb: [{}]\n", &long[..1 << 20], "*a,".repeat(100));
    check(&text, "f.yaml:2:14: error: b[3]: aliases repeat more than 4194304 bytes of the text");
    check(
        &"- 1\n".repeat(100_001),
        "f.yaml:100001:3: error: [100000]: more than 100000 values, counting those that aliases repeat; at most that many are read",
    );
    check(
        &format!("[{}", "1,".repeat(600_000)),
        "f.yaml:1:1: error: the text has 600001 commas, colons and brackets, at most 524288 are read",
    );
    let repeated = "a: 1\n".repeat(2000);
    assert_eq!(read(&repeated).lines().last(), Some("f.yaml:501:1: error: and 1499 problems more"));
}

#[test]
fn one_document_is_wanted_of_an_option() {
    let told = |text| parse_one(text, "--steps").map(|it| it.to_json()).map_err(|it| (it.code, it.message));
    assert_eq!(told("[1]"), Ok("[1]".to_owned()));
    assert_eq!(told("[1").unwrap_err().0, crate::Code::InvalidInput);
    assert_eq!(told("# none").unwrap_err().1, "--steps: is empty, expected YAML or JSON");
    assert_eq!(told("a\n---\nb\n").unwrap_err().1, "--steps: has 2 documents, expected one");
    assert_eq!(
        told("a: 1\na: 2\n").unwrap_err().1,
        "--steps:2:1: error: a: the key is given again, first in line 1; keep one"
    );
}

#[test]
fn fields_are_read_by_type_and_every_problem_is_told() {
    let text = "
text: abc
word: yes
count: 3
share: 0.5
on: true
nothing:
numbers: [1, 2.5]
words: [a, b]
inner: {modle: x, other: 1}
items:
- name: a
- 7
quoted: 8080
counted: '3'
ratio: high
flags: [a, true, 2]
listed:
  a: 1
port: 70000
replicas: 2
textt: abc
zzz: 1
";
    let problems = Problems::new("f.yaml");
    let documents = parse(text, &problems);
    let fields = Fields::of(&documents[0], "", &problems).unwrap();
    assert_eq!(fields.required_string("text"), Some("abc"));
    assert_eq!(fields.string("word"), Some("yes"));
    assert_eq!(fields.integer("count"), Some(3));
    assert_eq!((fields.number("count"), fields.number("share")), (Some(3.0), Some(0.5)));
    assert_eq!(fields.boolean("on"), Some(true));
    assert_eq!(fields.string_or_number("share").as_deref(), Some("0.5"));
    assert_eq!(fields.numbers("numbers"), Some(vec![1.0, 2.5]));
    assert_eq!(fields.strings("words"), Some(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!((fields.string("nothing"), fields.has("nothing")), (None, false));
    assert_eq!(fields.node("nothing").map(Node::kind), Some("null"));
    assert_eq!((fields.string("absent"), fields.required_string("absent2")), (None, None));
    let inner = fields.fields("inner").unwrap();
    assert_eq!((inner.path(), inner.at()), ("inner", Position { line: 10, column: 8 }));
    assert_eq!(inner.string("model"), None);
    inner.finish();
    assert_eq!(fields.maps("items").unwrap().iter().map(Fields::path).collect::<Vec<_>>(), ["items[0]"]);
    assert_eq!(
        (fields.string("quoted"), fields.integer("counted"), fields.number("ratio")),
        (None, None, None)
    );
    assert_eq!((fields.strings("flags"), fields.list("listed"), fields.boolean("text")), (None, None, None));
    assert_eq!(fields.integer_in("port", 1..=65535), None);
    fields.ignored(&["replicas", "absent3"]);
    fields.error("share", "is wrong");
    fields.error("missing", "is wrong");
    fields.finish();
    let told: Vec<_> = problems.into_vec().iter().map(Problem::to_string).collect();
    let want = "\
f.yaml:2:1: error: absent2: is missing
f.yaml:2:1: error: missing: is wrong
f.yaml:2:7: error: text: got the string `abc`, expected true or false
f.yaml:5:8: error: share: is wrong
f.yaml:10:9: error: inner.modle: unknown field; did you mean `model`?
f.yaml:10:19: error: inner.other: unknown field; known are `model`
f.yaml:13:3: error: items[1]: got the integer `7`, expected a map
f.yaml:14:9: error: quoted: got the integer `8080`, expected a string: quote it
f.yaml:15:10: error: counted: got the string `3`, expected an integer
f.yaml:16:8: error: ratio: got the string `high`, expected a number
f.yaml:17:12: error: flags[1]: got the boolean `true`, expected a string: quote it
f.yaml:17:18: error: flags[2]: got the integer `2`, expected a string: quote it
f.yaml:18:1: error: listed: got a map, expected a list
f.yaml:20:7: error: port: got 70000, expected 1 to 65535
f.yaml:21:11: warning: replicas: has no effect here
f.yaml:22:1: error: textt: unknown field; did you mean `text`?
f.yaml:23:1: error: zzz: unknown field; known are `text`, `word`, `count`, `share`, `on`, `numbers`, `words`, `nothing`, `absent`, `absent2`, `inner`, `items`, `quoted`, `counted`, `ratio`, `flags`, `listed`, `port`";
    assert_eq!(told.join("\n"), want);
}

#[test]
fn a_user_cannot_flood_or_drive_the_terminal() {
    let text: String = (0..500).map(|it| format!("\"\\e[31m{}{it}\": 1\n", "x".repeat(100))).collect();
    let problems = Problems::new("f.yaml");
    let documents = parse(&text, &problems);
    Fields::of(&documents[0], "", &problems).unwrap().finish();
    let told = problems.into_vec();
    assert_eq!(told.len(), 21);
    assert_eq!(told[0].field, format!("\\u{{1b}}[31m{}…", "x".repeat(59)));
    assert_eq!(told[20].to_string(), "f.yaml:21:1: error: and 480 unknown fields more");
}

#[test]
fn the_nearest_name_is_the_one_that_was_meant() {
    let known = ["model", "storageUri", "sklearn", "containers", "a"];
    let near = |name| nearest(name, known);
    assert_eq!(near("modle"), Some("model"));
    assert_eq!(near("storageURI"), Some("storageUri"));
    assert_eq!(near("sklaern"), Some("sklearn"));
    assert_eq!(near("container"), Some("containers"));
    assert_eq!((near("xgboost"), near("b"), near(""), near(&"model".repeat(1000))), (None, None, None, None));
}
