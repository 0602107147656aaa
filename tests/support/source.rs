//! The repository's own files, for the tests that read them.
//!
//! A file's `code` is its text with comments and the insides of literals blanked, line by line and character by
//! character: a word found in it is a word of the program, and its line number is right.

use std::path::{Path, PathBuf};

/// The folders that hold the program, its tests and what it ships.
const FOLDERS: [&str; 6] = ["api", "billing", "jobs", "migrations", "templates", "tests"];

/// A file of the repository.
#[derive(Debug, Clone)]
pub struct Source {
    /// From the root of the repository, with `/`.
    pub path: String,
    pub text: String,
    pub code: String,
}

/// A function with the lines it spans, first and last included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    pub line: usize,
    pub lines: usize,
}

/// The root of the repository.
pub fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().expect("tests is a folder of the repository").to_owned()
}

/// A file by its path from the root.
pub fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every Rust file, in the order of paths.
pub fn rust() -> Vec<Source> {
    let found = files().into_iter().filter(|path| path.ends_with(".rs"));
    found.map(|path| Source::new(path.clone(), read(&path))).collect()
}

/// The paths of all files: those of the folders above and those beside them.
pub fn files() -> Vec<String> {
    let root = root();
    let mut found: Vec<PathBuf> = entries(&root).into_iter().filter(|path| path.is_file()).collect();
    let mut open: Vec<PathBuf> = FOLDERS.iter().map(|folder| root.join(folder)).filter(|path| path.is_dir()).collect();
    while let Some(folder) = open.pop() {
        for path in entries(&folder) {
            if path.is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    let name = |path: PathBuf| {
        let inside = path.strip_prefix(&root).expect("below the root");
        inside.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/")
    };
    let mut names: Vec<String> = found.into_iter().map(name).collect();
    names.sort();
    names
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let listed = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    listed.map(|entry| entry.expect("an entry").path()).collect()
}

impl Source {
    pub fn new(path: String, text: String) -> Source {
        let code = blanked(&text);
        Source { path, text, code }
    }

    /// The name of the file, without its folder.
    pub fn file(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Whether it lies in a folder of that name, at any depth.
    pub fn below(&self, folder: &str) -> bool {
        let mut folders = self.path.split('/').rev().skip(1);
        folders.any(|name| name == folder)
    }

    /// The code before the unit tests at its end.
    pub fn shipped(&self) -> &str {
        self.code.find("#[cfg(test)]").map_or(&self.code, |at| &self.code[..at])
    }

    /// The functions in the order in which they begin; those without a body are left out.
    pub fn functions(&self) -> Vec<Function> {
        let mut found = Vec::new();
        for at in word_positions(&self.code, "fn") {
            let rest = &self.code[at + 2..];
            let name: String = rest.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            // Without a name it is a type: `fn(i64) -> i64`.
            let Some(end) = body_end(rest).filter(|_| !name.is_empty()) else { continue };
            let lines = rest[..end].matches('\n').count() + 1;
            found.push(Function { name, line: line_of(&self.code, at), lines });
        }
        found
    }
}

/// Where the body of a function ends, counted from the word after `fn`; none for a declaration.
fn body_end(rest: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in rest.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.checked_sub(1)?,
            ';' if depth == 0 => return None,
            '{' if depth == 0 => return closing(rest, at),
            _ => {}
        }
    }
    None
}

fn closing(rest: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in rest[open..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return Some(open + at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The line, counted from 1, at a position of a text.
pub fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Where `word` stands in `text` with nothing before or behind it that could belong to a longer word. A word that ends
/// in `(` or `!` ends there.
pub fn word_positions(text: &str, word: &str) -> Vec<usize> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let free = |at: &usize| {
        let before = text[..*at].chars().next_back().is_none_or(|c| !part(c));
        let open = !word.ends_with(part);
        before && (open || text[at + word.len()..].chars().next().is_none_or(|c| !part(c)))
    };
    text.match_indices(word).map(|(at, _)| at).filter(free).collect()
}

/// Replaces comments and what literals hold by blanks; lines stay where they are.
fn blanked(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match skipped(&chars, at) {
            Some(end) => end.min(chars.len()),
            None => {
                out.push(chars[at]);
                at += 1;
                continue;
            }
        };
        // Quotes, and what stands before and behind them, remain.
        let quote = |c: &char| matches!(c, '"' | '\'') && chars[at] != '/';
        let open = chars[at..end].iter().position(quote).unwrap_or(0);
        let close = chars[at..end].iter().rposition(quote).unwrap_or(end);
        let blank = |place: usize| chars[at] == '/' || (open < place && place < close);
        let kept = |(place, c): (usize, &char)| if blank(place) && *c != '\n' { ' ' } else { *c };
        out.extend(chars[at..end].iter().enumerate().map(kept));
        at = end;
    }
    out
}

/// The end of the comment or literal that begins at `at`, if one does.
fn skipped(chars: &[char], at: usize) -> Option<usize> {
    let next = |ahead: usize| chars.get(at + ahead).copied().unwrap_or('\n');
    let inside_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match chars[at] {
        '/' if next(1) == '/' => Some(at + chars[at..].iter().take_while(|c| **c != '\n').count()),
        '/' if next(1) == '*' => Some(end_of_comment(chars, at)),
        '"' => Some(end_of_text(chars, at)),
        'r' if !inside_word || chars[at - 1] == 'b' => end_of_raw_text(chars, at),
        // `'a'` and `'\n'` are characters, `'a` is a lifetime.
        '\'' if next(1) == '\\' => Some(at + 3 + chars[at + 3..].iter().take_while(|c| **c != '\'').count() + 1),
        '\'' if next(2) == '\'' => Some(at + 3),
        _ => None,
    }
}

fn end_of_comment(chars: &[char], start: usize) -> usize {
    let (mut depth, mut at) = (0_usize, start);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) if depth == 1 => return at + 2,
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    at
}

fn end_of_text(chars: &[char], start: usize) -> usize {
    let mut at = start + 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    at
}

fn end_of_raw_text(chars: &[char], start: usize) -> Option<usize> {
    // The first and the last quote are the ends, whatever quotes lie between them.
    let hashes = chars[start + 1..].iter().take_while(|c| **c == '#').count();
    let open = start + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let closes =
        |at: usize| chars[at] == '"' && chars[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes;
    let end = (open + 1..chars.len()).find(|at| closes(*at))?;
    Some(end + 1 + hashes)
}
