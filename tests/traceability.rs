//! Does every requirement of the RFCs have a row, and every row the code and the test that it promises?
//!
//! `spec-notes/rfcNNNN.toml` has a row for each requirement keyword of an RFC. Code and tests cite rows:
//!
//! ```text
//! //= rfc6455 5.1 MUST 2: a server refuses a frame that is not masked
//! //= type=test
//! ```
//!
//! Citations on adjacent lines are one group, and `type=test` ends a group and speaks for all of it: it tells a test
//! from the code, under `tests/` and in the test modules under `src/`. A citation under `examples/`, or above a test that
//! is ignored, needs a row too, but proves nothing.
//!
//! Where the text of an RFC lies at `../shared/rfc`, its keywords are counted section by section and held against the
//! table; it is not part of this repository, so elsewhere that part is skipped.
//!
//! `cargo test --test traceability -- --nocapture coverage` prints what is cited so far.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The keywords of RFC 2119 and 8174, the longer ones first so that `MUST NOT` is not read as `MUST`.
const KEYWORDS: [&str; 11] = [
    "MUST NOT",
    "SHALL NOT",
    "SHOULD NOT",
    "NOT RECOMMENDED",
    "MUST",
    "SHALL",
    "REQUIRED",
    "SHOULD",
    "RECOMMENDED",
    "MAY",
    "OPTIONAL",
];

/// What is done with such a requirement cannot be a matter of taste.
const ABSOLUTE: [&str; 5] = ["MUST", "MUST NOT", "SHALL", "SHALL NOT", "REQUIRED"];

const STATUSES: [&str; 5] = ["done", "caller", "other", "deviation", "later"];

/// Those whose every requirement has a row.
const RFCS: [&str; 5] = ["rfc6455", "rfc7541", "rfc7692", "rfc8441", "rfc9113"];

/// A run of this many words that a row shares with the RFC is a quotation, not our own words.
const QUOTATION: usize = 8;

#[test]
fn every_citation_has_a_row() {
    let tables = tables();
    let (citations, mut faults) = citations();
    faults.extend(citations_without_row(&rows_of(&tables), &citations));
    report(&faults);
}

#[test]
fn every_row_is_sound() {
    let faults: Vec<String> = tables().iter().flat_map(|t| unsound(&t.rows)).collect();
    report(&faults);
}

#[test]
fn every_must_has_code_and_a_test() {
    report(&uncited(&rows_of(&tables()), &citations().0));
}

#[test]
fn every_keyword_of_the_text_has_its_row() {
    let mut faults = Vec::new();
    for table in tables() {
        match text_of(&table.rfc) {
            Some(text) => faults.extend(miscounted(&table, &text)),
            None => println!("{}: skipped: RFC text not at hand", table.rfc),
        }
    }
    report(&faults);
}

#[test]
fn every_row_speaks_in_our_own_words() {
    let mut faults = Vec::new();
    for table in tables() {
        match text_of(&table.rfc) {
            Some(text) => faults.extend(quotations(&table.rows, &text)),
            None => println!("{}: skipped: RFC text not at hand", table.rfc),
        }
    }
    report(&faults);
}

/// Proves nothing: it prints the state of things for whoever wants to see it.
#[test]
fn coverage() {
    let (citations, _) = citations();
    for table in tables() {
        println!("{}", coverage_of(&table, &citations));
    }
}

// The table.

struct Table {
    rfc: String,
    rows: Vec<Row>,
}

struct Row {
    requirement: Requirement,
    asks: String,
    status: String,
    why: String,
}

/// The name that a citation and a row share: `rfc6455 5.1 MUST NOT 1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Requirement {
    rfc: String,
    section: String,
    keyword: String,
    ordinal: usize,
}

impl std::fmt::Display for Requirement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { rfc, section, keyword, ordinal } = self;
        write!(f, "{rfc} {section} {keyword} {ordinal}")
    }
}

fn tables() -> Vec<Table> {
    let mut tables = Vec::new();
    for path in files(&root().join("spec-notes"), "toml") {
        let rfc = stem(&path);
        if rfc.starts_with("rfc") {
            match rows(&rfc, &read(&path)) {
                Ok(rows) => tables.push(Table { rfc, rows }),
                Err(fault) => report(&[format!("{}: {fault}", path.display())]),
            }
        }
    }
    assert_eq!(tables.iter().map(|table| &table.rfc[..]).collect::<Vec<_>>(), RFCS, "the tables of spec-notes");
    tables
}

fn rows_of(tables: &[Table]) -> Vec<&Row> {
    tables.iter().flat_map(|t| &t.rows).collect()
}

/// Reads the table. It is TOML, but of one shape only, a row a line, and that needs no TOML parser.
fn rows(rfc: &str, text: &str) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for (number, line) in text.lines().enumerate().map(|(n, line)| (n + 1, line.trim())) {
        if line.is_empty() || line.starts_with('#') || ["requirements = [", "]"].contains(&line) {
            continue;
        }
        let row = row(rfc, line).ok_or_else(|| format!("line {number} is no row: {line}"))?;
        rows.push(row);
    }
    Ok(rows)
}

fn row(rfc: &str, line: &str) -> Option<Row> {
    let mut rest = line.trim_end_matches(',').strip_prefix('{')?.strip_suffix('}')?.trim();
    let mut fields = BTreeMap::new();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let (value, after) = match after.strip_prefix('"') {
            Some(string) => string.split_once('"')?,
            None => after.split_at(after.find([',', ' ']).unwrap_or(after.len())),
        };
        // An escape, or a field written twice, would be read wrongly: neither is needed.
        if value.contains('\\') || fields.insert(key.trim(), value.to_owned()).is_some() {
            return None;
        }
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(more) => more.trim_start(),
            None if after.is_empty() => after,
            None => return None,
        };
    }
    let row = Row {
        requirement: Requirement {
            rfc: rfc.to_owned(),
            section: fields.remove("section")?,
            keyword: fields.remove("keyword")?,
            ordinal: fields.remove("ordinal")?.parse().ok()?,
        },
        asks: fields.remove("asks")?,
        status: fields.remove("status")?,
        why: fields.remove("why").unwrap_or_default(),
    };
    fields.is_empty().then_some(row)
}

fn unsound(rows: &[Row]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut last = BTreeMap::new();
    for row in rows {
        let Requirement { section, keyword, ordinal, .. } = &row.requirement;
        let mut fault = |what: String| faults.push(format!("{}: {what}", row.requirement));
        if !KEYWORDS.contains(&keyword.as_str()) {
            fault("unknown keyword".to_owned());
        }
        if !STATUSES.contains(&row.status.as_str()) {
            fault(format!("unknown status {:?}", row.status));
        }
        if row.asks.is_empty() {
            fault("it does not say what it asks".to_owned());
        }
        if row.status != "done" && row.why.is_empty() {
            fault(format!("status {:?} without a why", row.status));
        }
        if row.status == "deviation" && ABSOLUTE.contains(&keyword.as_str()) {
            fault(format!("a {keyword} leaves no room for a deviation"));
        }
        let before = last.insert((section, keyword), *ordinal).unwrap_or(0);
        if *ordinal != before + 1 {
            fault(format!("follows number {before} of its kind: a row is missing, or twice there"));
        }
    }
    faults
}

// The citations.

struct Citation {
    requirement: Requirement,
    place: Place,
    at: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Code,
    Test,
    /// It is known to fail.
    IgnoredTest,
    Example,
}

/// All citations of the project, and what is wrong with those that are none.
fn citations() -> (Vec<Citation>, Vec<String>) {
    let mut all = (Vec::new(), Vec::new());
    for folder in ["src", "tests", "examples"] {
        for path in files(&root().join(folder), "rs") {
            let name = path.strip_prefix(root()).unwrap_or(&path).display().to_string();
            let (citations, faults) = citations_in(&name, &read(&path));
            all.0.extend(citations);
            all.1.extend(faults);
        }
    }
    all
}

fn citations_in(file: &str, text: &str) -> (Vec<Citation>, Vec<String>) {
    let mut citations: Vec<Citation> = Vec::new();
    let mut faults = Vec::new();
    let default = if file.starts_with("examples") { Place::Example } else { Place::Code };
    let mut group = 0;
    let mut in_group = false;
    // Where the citations of a test begin whose attributes are being read.
    let mut test = 0;
    for (number, line) in text.lines().enumerate().map(|(n, line)| (n + 1, line.trim())) {
        let at = format!("{file}:{number}");
        let Some(content) = line.strip_prefix("//=").map(str::trim) else {
            if line.starts_with("#[ignore") {
                citations.iter_mut().skip(test).for_each(|citation| citation.place = Place::IgnoredTest);
            } else if !line.starts_with("#[") {
                test = citations.len();
            }
            group = citations.len();
            in_group = false;
            continue;
        };
        let is_first = !std::mem::replace(&mut in_group, true);
        if content == "type=test" {
            if is_first {
                faults.push(format!("{at}: type=test without a citation above it"));
            }
            citations.iter_mut().skip(group).for_each(|citation| citation.place = Place::Test);
            test = group;
            group = citations.len();
        } else if let Some(requirement) = requirement(content) {
            citations.push(Citation { requirement, place: default, at });
        } else {
            faults.push(format!("{at}: no citation, write `rfcNNNN SECTION KEYWORD N: words`"));
        }
    }
    if file.starts_with("tests") {
        let unmarked = citations.iter().filter(|citation| citation.place == Place::Code);
        faults.extend(unmarked.map(|c| format!("{}: a test cites with `//= type=test` below", c.at)));
    }
    (citations, faults)
}

/// Reads `rfc6455 5.1 MUST NOT 1: words`.
fn requirement(citation: &str) -> Option<Requirement> {
    let (name, words) = citation.split_once(": ")?;
    let (rfc, rest) = name.split_once(' ')?;
    let (section, rest) = rest.split_once(' ')?;
    let (keyword, ordinal) = rest.rsplit_once(' ')?;
    let sound = rfc.starts_with("rfc") && KEYWORDS.contains(&keyword) && !words.trim().is_empty();
    sound.then_some(Requirement {
        rfc: rfc.to_owned(),
        section: section.to_owned(),
        keyword: keyword.to_owned(),
        ordinal: ordinal.parse().ok()?,
    })
}

fn citations_without_row(rows: &[&Row], citations: &[Citation]) -> Vec<String> {
    let known: BTreeSet<&Requirement> = rows.iter().map(|row| &row.requirement).collect();
    let lost = citations.iter().filter(|citation| !known.contains(&citation.requirement));
    lost.map(|c| format!("{}: no row for {}", c.at, c.requirement)).collect()
}

fn uncited(rows: &[&Row], citations: &[Citation]) -> Vec<String> {
    let mut faults = Vec::new();
    for row in rows {
        let Row { requirement, asks, .. } = row;
        let cited = |place| is_cited(requirement, place, citations);
        if row.status == "done" && ABSOLUTE.contains(&requirement.keyword.as_str()) {
            if !cited(Place::Code) {
                faults.push(format!("{requirement}: no code cites it ({asks})"));
            }
            if !cited(Place::Test) {
                faults.push(format!("{requirement}: no test cites it ({asks})"));
            }
        }
        // Either the row is out of date, or the citation has a wrong number.
        if ["caller", "other", "later"].contains(&row.status.as_str()) && cited(Place::Code) {
            faults.push(format!("{requirement}: the row says {}, but code cites it ({asks})", row.status));
        }
    }
    faults
}

fn is_cited(requirement: &Requirement, place: Place, citations: &[Citation]) -> bool {
    citations.iter().any(|c| c.place == place && c.requirement == *requirement)
}

fn coverage_of(table: &Table, citations: &[Citation]) -> String {
    let mut sections: Vec<(&str, Vec<&Row>)> = Vec::new();
    for row in &table.rows {
        match sections.last_mut() {
            Some((section, rows)) if *section == row.requirement.section => rows.push(row),
            _ => sections.push((&row.requirement.section, vec![row])),
        }
    }
    sections.push(("all", table.rows.iter().collect()));
    let mut out = format!("{:10}{:>6}{:>6}{:>6}{:>6}\n", table.rfc, "rows", "done", "code", "tests");
    for (section, rows) in sections {
        let count = |test: &dyn Fn(&Row) -> bool| rows.iter().filter(|row| test(row)).count();
        let done = count(&|row| row.status == "done");
        let code = count(&|row| is_cited(&row.requirement, Place::Code, citations));
        let tests = count(&|row| is_cited(&row.requirement, Place::Test, citations));
        let _ = writeln!(out, "{section:10}{:>6}{done:>6}{code:>6}{tests:>6}", rows.len());
    }
    out
}

// The text of the RFC.

fn text_of(rfc: &str) -> Option<String> {
    fs::read_to_string(root().join(format!("../shared/rfc/{rfc}.txt"))).ok()
}

fn miscounted(table: &Table, text: &str) -> Vec<String> {
    let mut in_table = BTreeMap::new();
    for Row { requirement, .. } in &table.rows {
        *in_table.entry((requirement.section.clone(), requirement.keyword.clone())).or_insert(0) += 1;
    }
    let in_text = keywords(text);
    let kinds: BTreeSet<_> = in_table.keys().chain(in_text.keys()).collect();
    let count = |counts: &BTreeMap<_, usize>, kind| counts.get(kind).copied().unwrap_or(0);
    let pairs = kinds.iter().map(|kind| (kind, count(&in_text, kind), count(&in_table, kind)));
    pairs
        .filter(|(_, text, table)| text != table)
        .map(|((section, keyword), text, rows)| {
            format!("{} {section} {keyword}: {text} in the text, {rows} in the table", table.rfc)
        })
        .collect()
}

/// How often each keyword stands in each section. One in quotation marks is the word and not the requirement: so it
/// stands where an RFC says what its key words mean.
fn keywords(text: &str) -> BTreeMap<(String, String), usize> {
    let mut counts = BTreeMap::new();
    for (section, content) in sections(text) {
        let words = words(&content);
        let mut rest = words.as_slice();
        while let Some((first, others)) = rest.split_first() {
            rest = others;
            if let Some(keyword) = KEYWORDS.into_iter().find(|keyword| starts(first, others, keyword)) {
                rest = others.get(keyword.matches(' ').count()..).unwrap_or_default();
                if !first.quoted {
                    *counts.entry((section.clone(), keyword.to_owned())).or_insert(0) += 1;
                }
            }
        }
    }
    counts
}

/// Whether the keyword, of one or two words, stands here; a line may break between the two.
fn starts(first: &Word<'_>, others: &[Word<'_>], keyword: &str) -> bool {
    match (keyword.split_once(' '), others.first()) {
        (None, _) => first.text == keyword,
        (Some((one, two)), Some(next)) => first.text == one && next.text == two && next.joined,
        (Some(_), None) => false,
    }
}

struct Word<'t> {
    text: &'t str,
    /// A quotation mark stands before it.
    quoted: bool,
    /// Only blanks and line breaks stand between it and the word before.
    joined: bool,
}

fn words(text: &str) -> Vec<Word<'_>> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_part) {
        let (between, tail) = rest.split_at(start);
        let (word, tail) = tail.split_at(tail.find(|c| !is_part(c)).unwrap_or(tail.len()));
        let joined = between.chars().all(char::is_whitespace);
        words.push(Word { text: word, quoted: between.ends_with('"'), joined });
        rest = tail;
    }
    words
}

/// The numbered sections and appendices, without what the pages of an RFC add. The table of contents is indented, and
/// so is no heading.
fn sections(text: &str) -> Vec<(String, String)> {
    let mut sections: Vec<(String, String)> = Vec::new();
    for line in text.lines().filter(|line| !is_page_furniture(line)) {
        if let Some(number) = heading(line) {
            sections.push((number.to_owned(), String::new()));
        } else if let Some((_, content)) = sections.last_mut() {
            content.push_str(line);
            content.push('\n');
        }
    }
    sections
}

/// The number of `5.1.  Overview`, `Appendix A.  Samples` or `A.1.  First sample`.
fn heading(line: &str) -> Option<&str> {
    let line = line.strip_prefix("Appendix ").unwrap_or(line);
    let (number, title) = line.split_once(". ")?;
    let (first, others) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let is_letter = first.len() == 1 && first.bytes().all(|b| b.is_ascii_uppercase());
    let sound = (is_number(first) || is_letter) && others.split('.').all(is_number);
    (sound && !title.trim().is_empty()).then_some(number)
}

fn is_page_furniture(line: &str) -> bool {
    let line = line.trim_start_matches('\u{c}').trim_end();
    let year = line.get(line.len().saturating_sub(4)..).unwrap_or_default();
    let header = line.starts_with("RFC ") && year.bytes().all(|b| b.is_ascii_digit());
    let footer = line.ends_with(']') && line.contains("[Page ") && !line.starts_with(' ');
    header || footer
}

fn quotations(rows: &[Row], text: &str) -> Vec<String> {
    let body: String = text.lines().filter(|l| !is_page_furniture(l)).flat_map(|l| [l, "\n"]).collect();
    let known: HashSet<String> = runs(&body).collect();
    let mut faults = Vec::new();
    for row in rows {
        for run in runs(&row.asks).filter(|run| known.contains(run)) {
            faults.push(format!("{}: these words are the RFC's: {run}", row.requirement));
        }
    }
    faults
}

fn runs(text: &str) -> impl Iterator<Item = String> {
    let words: Vec<String> = words(text).iter().map(|w| w.text.to_ascii_lowercase()).collect();
    let runs: Vec<String> = words.windows(QUOTATION).map(|run| run.join(" ")).collect();
    runs.into_iter()
}

// Files and reports.

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a folder that have this extension, in a fixed order; none where the folder does not exist.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// A file that cannot be read must not pass for one without citations.
fn read(path: &Path) -> String {
    let text = fs::read_to_string(path);
    assert!(text.is_ok(), "{}: {text:?}", path.display());
    text.unwrap_or_default()
}

fn report(faults: &[String]) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

// The checks can fail. In strings of this file a citation never starts a line, so none of these counts as one.

#[cfg(test)]
mod proof {
    use super::*;

    const TABLE: &str = r#"
        # a comment
        requirements = [
          { section = "1", keyword = "MUST", ordinal = 1, status = "done", asks = "blue, and { } = fine" },
          { section = "1.1", keyword = "MAY", ordinal = 1, status = "caller", asks = "x", why = "y" },
        ]"#;

    fn table(text: &str) -> Table {
        Table { rfc: "rfc1".to_owned(), rows: rows("rfc1", text).expect("a table") }
    }

    fn lines(lines: &[&str]) -> String {
        lines.join("\n")
    }

    #[test]
    fn the_table_is_read() {
        let table = table(TABLE);
        let names: Vec<String> = table.rows.iter().map(|row| row.requirement.to_string()).collect();
        assert_eq!(names, ["rfc1 1 MUST 1", "rfc1 1.1 MAY 1"]);
        assert_eq!(table.rows[0].asks, "blue, and { } = fine");
        assert_eq!(table.rows[1].why, "y");
        assert_eq!(unsound(&table.rows), [""; 0]);
    }

    #[test]
    fn a_line_that_is_no_row_is_refused() {
        for line in [
            r#"[[requirement]]"#,
            r#"{ section = "1", keyword = "MUST", ordinal = 1, status = "done" }"#,
            r#"{ section = "1", keyword = "MUST", ordinal = "one", status = "done", asks = "x" }"#,
            r#"{ section = "1", keyword = "MUST", ordinal = 1, status = "done", asks = "x", asks = "y" }"#,
            r#"{ section = "1", keyword = "MUST", ordinal = 1, status = "done", asks = "\"x" }"#,
            r#"{ section = "1", keyword = "MUST", ordinal = 1, status = "done", asks = "x", test = "y" }"#,
            r#"{ section = "1", keyword = "MUST", ordinal = 1, status = "done", asks = "x"#,
        ] {
            assert!(rows("rfc1", line).is_err(), "{line}");
        }
    }

    #[test]
    fn unsound_rows_are_found() {
        let row = |keyword, ordinal, status, asks, why| {
            format!(
                "{{ section = \"1\", keyword = \"{keyword}\", ordinal = {ordinal}, status = \"{status}\", \
                 asks = \"{asks}\", why = \"{why}\" }}\n"
            )
        };
        let faults = |text: String| unsound(&table(&text).rows).len();
        assert_eq!(faults(row("MUST", 1, "done", "x", "")), 0);
        assert_eq!(faults(row("must", 1, "done", "x", "")), 1);
        assert_eq!(faults(row("MUST", 1, "perhaps", "x", "y")), 1);
        assert_eq!(faults(row("MUST", 1, "done", "", "")), 1);
        assert_eq!(faults(row("MUST", 1, "later", "x", "")), 1);
        assert_eq!(faults(row("MUST", 1, "deviation", "x", "y")), 1);
        assert_eq!(faults(row("SHOULD", 1, "deviation", "x", "y")), 0);
        assert_eq!(faults(row("MUST", 2, "done", "x", "")), 1);
        assert_eq!(faults(row("MUST", 1, "done", "x", "").repeat(2)), 1);
    }

    #[test]
    fn citations_are_found_and_told_apart() {
        let code = lines(&["  //= rfc1 1 MUST 1: words", "fn f() {}", "//= rfc1 1 MUST NOT 2: words"]);
        let test = lines(&["//= rfc1 1 MUST 1: words", "//= rfc1 1 MUST 2: words", "//= type=test"]);
        let seen = |file, text: &str| {
            let (citations, faults) = citations_in(file, text);
            let place = |c: &Citation| (c.requirement.to_string(), c.place);
            (citations.iter().map(place).collect::<Vec<_>>(), faults.len())
        };
        let (must, second) = ("rfc1 1 MUST 1".to_owned(), "rfc1 1 MUST 2".to_owned());
        let not = "rfc1 1 MUST NOT 2".to_owned();
        let plain = |place| vec![(must.clone(), place), (not.clone(), place)];
        assert_eq!(seen("src/a.rs", &code), (plain(Place::Code), 0));
        assert_eq!(seen("examples/a.rs", &code), (plain(Place::Example), 0));
        assert_eq!(seen("tests/a.rs", &code), (plain(Place::Code), 2), "without type=test");
        let both = |place| vec![(must.clone(), place), (second.clone(), place)];
        assert_eq!(seen("src/a.rs", &test), (both(Place::Test), 0));
        assert_eq!(seen("tests/a.rs", &test), (both(Place::Test), 0));
        let ignored = lines(&[&test, "#[test]", "#[ignore = \"why\"]"]);
        assert_eq!(seen("tests/a.rs", &ignored), (both(Place::IgnoredTest), 0));
        let other = lines(&[&test, "#[test]", "fn f() {}", "#[ignore]"]);
        assert_eq!(seen("tests/a.rs", &other), (both(Place::Test), 0), "another test is");
    }

    #[test]
    fn malformed_citations_are_found() {
        for line in [
            "//= rfc1 1 MUST 1",
            "//= rfc1 1 MUST 1: ",
            "//= rfc1 1 MUST: words",
            "//= rfc1 1 must 1: words",
            "//= rfc1 MUST 1: words",
            "//= 6455 1 MUST 1: words",
            "//= type=test",
            "//= type=todo",
        ] {
            let (citations, faults) = citations_in("src/a.rs", line);
            assert_eq!((citations.len(), faults.len()), (0, 1), "{line}");
        }
    }

    #[test]
    fn what_is_not_cited_is_found() {
        let table = table(TABLE);
        let rows: Vec<&Row> = table.rows.iter().collect();
        let faults = |file, text: &str| uncited(&rows, &citations_in(file, text).0).len();
        let citation = "//= rfc1 1 MUST 1: words";
        let test = lines(&[citation, "//= type=test"]);
        assert_eq!(faults("src/a.rs", ""), 2, "neither code nor test");
        assert_eq!(faults("src/a.rs", citation), 1, "no test");
        assert_eq!(faults("src/a.rs", &test), 1, "no code");
        assert_eq!(faults("examples/a.rs", citation), 2, "an example is no code of the library");
        assert_eq!(faults("src/a.rs", &lines(&[citation, "fn f() {}", &test])), 0);
    }

    #[test]
    fn code_cites_no_row_that_it_does_not_obey() {
        for (status, faults) in [("done", 0), ("deviation", 0), ("caller", 1), ("other", 1), ("later", 1)] {
            let table = table(&TABLE.replace("caller", status));
            let rows: Vec<&Row> = table.rows.iter().filter(|row| row.requirement.keyword == "MAY").collect();
            let (citations, _) = citations_in("src/a.rs", "//= rfc1 1.1 MAY 1: words");
            assert_eq!(uncited(&rows, &citations).len(), faults, "{status}");
        }
    }

    #[test]
    fn a_citation_without_a_row_is_found() {
        let table = table(TABLE);
        let rows: Vec<&Row> = table.rows.iter().collect();
        let faults = |text| citations_without_row(&rows, &citations_in("src/a.rs", text).0).len();
        assert_eq!(faults("//= rfc1 1 MUST 1: words"), 0);
        assert_eq!(faults("//= rfc1 1 MUST 2: words"), 1);
        assert_eq!(faults("//= rfc1 1 MUST NOT 1: words"), 1);
        assert_eq!(faults("//= rfc2 1 MUST 1: words"), 1);
    }

    #[test]
    fn the_text_and_the_table_are_held_together() {
        let text = "   1.  Contents MUST\n1.  First\n   It MUST be.\n1.1.  Second\n   It MAY be.\n";
        let faults = |text: &str| miscounted(&table(TABLE), text).len();
        assert_eq!(faults(text), 0);
        assert_eq!(faults(&text.replace("MUST be", "must be")), 1);
        assert_eq!(faults(&text.replace("It MAY", "It MAY and MAY")), 1);
        assert_eq!(faults(&text.replace("It MUST", "It MUST NOT")), 2);
        assert_eq!(faults(&text.replace("1.1.", "1.2.")), 2);
    }

    #[test]
    fn keywords_are_counted() {
        let text = lines(&[
            "2.  Words",
            "   The key words \"MUST\", \"SHALL",
            "   NOT\" and \"NOT RECOMMENDED\" (\"MAY\") are no requirements.  It MUST",
            "   NOT, and it MUST; not it MUST, NOT so.  RECOMMENDED, NOT RECOMMENDED, MAYBE.",
            "Author & Other              Standards Track                    [Page 1]",
            "\u{c}RFC 1                     The MUST Protocol              December 2011",
            "   REQUIRED",
            "Appendix A.  More",
            "A.1.  Even more",
            "   SHALL",
        ]);
        let counted: Vec<String> =
            keywords(&text).iter().map(|((section, k), n)| format!("{section} {k} {n}")).collect();
        assert_eq!(
            counted,
            ["2 MUST 2", "2 MUST NOT 1", "2 NOT RECOMMENDED 1", "2 RECOMMENDED 1", "2 REQUIRED 1", "A.1 SHALL 1"]
        );
    }

    #[test]
    fn the_words_of_an_rfc_are_recognised() {
        let row = |asks: &str| table(&TABLE.replace("blue, and { } = fine", asks)).rows;
        let text = "1.  First\n   One two three, four FIVE\n   six (seven) eight nine.\n";
        assert_eq!(quotations(&row("zero one two three four five six seven"), text).len(), 0);
        assert_eq!(quotations(&row("so: One two three four five six seven eight"), text).len(), 1);
    }
}
