//! Reads any JSON and tells the keys that stand twice in their object.

use serde_json::{Map, Value};

use super::source::{Source, Token, VALUES_MAX};

/// Upstream tells so many, and no more.
const TOLD_MAX: usize = 100;

/// What was found on the way.
#[derive(Default)]
pub struct Repeated {
    path: String,
    values: usize,
    pub told: Vec<String>,
}

impl Repeated {
    /// Reads a value whose start was read.
    ///
    /// # Errors
    /// Go's words for malformed JSON, and for too many values.
    pub fn read(&mut self, source: &mut impl Source, token: Token) -> Result<Value, String> {
        Ok(match token {
            Token::Array => {
                let mut items = Vec::new();
                while source.next_item()? {
                    self.count()?;
                    let before = self.path.len();
                    self.path.push_str(&format!("[{}]", items.len()));
                    let token = source.next_value()?;
                    items.push(self.read(source, token)?);
                    self.path.truncate(before);
                }
                Value::Array(items)
            }
            Token::Object => {
                let mut entries = Map::new();
                while let Some(key) = source.next_key()? {
                    self.count()?;
                    let before = self.path.len();
                    if before > 0 {
                        self.path.push('.');
                    }
                    self.path.push_str(&key);
                    if entries.contains_key(&key) && self.told.len() < TOLD_MAX {
                        let fault = format!("duplicate field {:?}", self.path);
                        if !self.told.contains(&fault) {
                            self.told.push(fault);
                        }
                    }
                    let token = source.next_value()?;
                    let value = self.read(source, token)?;
                    entries.insert(key, value);
                    self.path.truncate(before);
                }
                Value::Object(entries)
            }
            scalar => source.rest(scalar)?,
        })
    }

    fn count(&mut self) -> Result<(), String> {
        self.values += 1;
        if self.values > VALUES_MAX { Err("exceeded max number of values".into()) } else { Ok(()) }
    }
}
