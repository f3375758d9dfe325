//! nf_tables: transactions on tables, chains, sets and rules. A transaction happens as a whole or not at all.
//!
//! Names of attributes and their numbers are those of `linux/netfilter/nf_tables.h`.

use std::borrow::Cow;

use super::Result;
use super::codec::{self, Batch, Message};
use super::expr::{self, Expr};
use super::socket::{Family, Socket};

const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;
const NFT_MSG_NEWTABLE: u16 = 0;
const NFT_MSG_GETTABLE: u16 = 1;
const NFT_MSG_DELTABLE: u16 = 2;
const NFT_MSG_NEWCHAIN: u16 = 3;
const NFT_MSG_GETCHAIN: u16 = 4;
const NFT_MSG_DELCHAIN: u16 = 5;
const NFT_MSG_NEWRULE: u16 = 6;
const NFT_MSG_DELRULE: u16 = 8;
const NFT_MSG_NEWSET: u16 = 9;
const NFT_MSG_NEWSETELEM: u16 = 12;
const NFT_MSG_GETSETELEM: u16 = 13;
const NFT_MSG_DELSETELEM: u16 = 14;
const NLM_F_CREATE: u16 = 0x400;
const NLM_F_CREATE_APPEND: u16 = 0xc00;

const NFTA_TABLE_NAME: u16 = 1;
const NFTA_TABLE_USERDATA: u16 = 6;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_POLICY: u16 = 5;
const NFTA_CHAIN_TYPE: u16 = 7;
const NFTA_HOOK_HOOKNUM: u16 = 1;
const NFTA_HOOK_PRIORITY: u16 = 2;
const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_RULE_EXPRESSIONS: u16 = 4;
const NFTA_SET_TABLE: u16 = 1;
const NFTA_SET_NAME: u16 = 2;
const NFTA_SET_FLAGS: u16 = 3;
const NFTA_SET_KEY_TYPE: u16 = 4;
const NFTA_SET_KEY_LEN: u16 = 5;
const NFTA_SET_DATA_TYPE: u16 = 6;
const NFTA_SET_DATA_LEN: u16 = 7;
const NFTA_SET_DESC: u16 = 9;
const NFTA_SET_DESC_SIZE: u16 = 1;
const NFTA_SET_ID: u16 = 10;
const NFT_SET_MAP: u32 = 8;
const NFT_SET_TIMEOUT: u32 = 0x10;
const NFT_SET_EVAL: u32 = 0x20;
const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
const NFTA_SET_ELEM_LIST_SET: u16 = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
const NFTA_LIST_ELEM: u16 = 1;
const NFTA_SET_ELEM_KEY: u16 = 1;
const NFTA_SET_ELEM_DATA: u16 = 2;
const NFT_DATA_VERDICT: u32 = 0xffff_ff00;

/// Elements of one message stay below this many bytes: their list is one attribute, whose length is 16 bits.
const ELEMENT_LIST_BYTES: usize = 48 << 10;

/// Where in the kernel's path of a packet a chain is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Hook {
    /// Before routing.
    Prerouting = 0,
    /// To a socket of this machine.
    Input = 1,
    /// Through this machine.
    Forward = 2,
    /// From a socket of this machine.
    Output = 3,
    /// After routing.
    Postrouting = 4,
}

/// A chain that a hook calls. Its policy is accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BaseChain {
    /// `filter`, `nat` or `route`.
    pub kind: &'static str,
    /// The hook.
    pub hook: Hook,
    /// Order among chains of one hook; lower is earlier.
    pub priority: i32,
}

/// What a type of set keys or data is called in `nft list`; the kernel doesn't care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum FieldType {
    /// 32 bits in the machine's order.
    Mark = 19,
    /// An IPv4 address.
    Ipv4 = 7,
    /// A transport protocol, one byte.
    Protocol = 12,
    /// A port, two bytes.
    Port = 13,
}

/// What a set's elements lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetData {
    /// Nothing: a set.
    None,
    /// A verdict.
    Verdict,
    /// Fields, each in four bytes.
    Fields(&'static [FieldType]),
}

/// A set or map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set {
    /// Its name.
    pub name: &'static str,
    /// The key's fields, each in four bytes.
    pub key: &'static [FieldType],
    /// What the key leads to.
    pub data: SetData,
    /// Rules add elements, which expire; this many at most.
    pub dynamic: Option<u32>,
}

/// What is done with a packet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It passes this hook.
    Accept,
    /// It is dropped.
    Drop,
    /// Back to the calling chain.
    Return,
    /// On in another chain, and back.
    Jump(Cow<'static, str>),
    /// On in another chain.
    Goto(Cow<'static, str>),
}

/// What an element of a map leads to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ElementData {
    /// Nothing: an element of a set.
    None,
    /// Fields, each padded to four bytes.
    Value(Vec<u8>),
    /// A verdict.
    Verdict(Verdict),
}

/// Whether elements come or go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementChange {
    /// They come.
    Add,
    /// They go.
    Delete,
}

/// One transaction on tables of the family `ip`.
pub struct Transaction {
    table: String,
    batch: Batch,
    sets: u32,
}

/// A socket for nf_tables of one network namespace.
pub struct Nft(Socket);

// === impl Transaction ===

impl Transaction {
    /// An empty transaction on the table `table`.
    pub fn new(table: &str) -> Self {
        let mut batch = Batch::new();
        let begin = nfgen(libc::AF_UNSPEC as u8, NFNL_SUBSYS_NFTABLES);
        batch.push(NFNL_MSG_BATCH_BEGIN, 0, "begin transaction", &begin, |_| {});
        Transaction { table: table.to_owned(), batch, sets: 0 }
    }

    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.batch.len() == 1
    }

    fn push(&mut self, kind: u16, flags: u16, what: String, write: impl FnOnce(&mut Message<'_>, &str)) {
        let table = &self.table;
        self.batch.push(message(kind), flags, what, &nfgen(libc::AF_INET as u8, 0), |m| write(m, table));
    }

    /// Makes the table; one that exists is no error. `mark` is kept with it and read by [`Nft::table`].
    pub fn add_table(&mut self, mark: &[u8]) {
        self.push(NFT_MSG_NEWTABLE, NLM_F_CREATE, "add table".into(), |m, table| {
            m.text(NFTA_TABLE_NAME, table);
            if !mark.is_empty() {
                m.bytes(NFTA_TABLE_USERDATA, mark);
            }
        });
    }

    /// Removes the table with all that is in it. It must exist.
    pub fn del_table(&mut self) {
        self.push(NFT_MSG_DELTABLE, 0, "delete table".into(), |m, table| m.text(NFTA_TABLE_NAME, table));
    }

    /// Makes a chain, called by a hook if `base` says so; one that exists is no error.
    pub fn add_chain(&mut self, name: &str, base: Option<BaseChain>) {
        self.push(NFT_MSG_NEWCHAIN, NLM_F_CREATE, format!("add chain {name}"), |m, table| {
            m.text(NFTA_CHAIN_TABLE, table);
            m.text(NFTA_CHAIN_NAME, name);
            if let Some(base) = base {
                m.nest(NFTA_CHAIN_HOOK, |m| {
                    m.be32(NFTA_HOOK_HOOKNUM, base.hook as u32);
                    m.be32(NFTA_HOOK_PRIORITY, base.priority as u32);
                });
                m.be32(NFTA_CHAIN_POLICY, 1);
                m.text(NFTA_CHAIN_TYPE, base.kind);
            }
        });
    }

    /// Removes a chain with its rules. Nothing may lead to it.
    pub fn del_chain(&mut self, name: &str) {
        self.flush_chain(name);
        self.push(NFT_MSG_DELCHAIN, 0, format!("delete chain {name}"), |m, table| {
            m.text(NFTA_CHAIN_TABLE, table);
            m.text(NFTA_CHAIN_NAME, name);
        });
    }

    /// Removes all rules of a chain.
    pub fn flush_chain(&mut self, name: &str) {
        self.push(NFT_MSG_DELRULE, 0, format!("flush chain {name}"), |m, table| {
            m.text(NFTA_RULE_TABLE, table);
            m.text(NFTA_RULE_CHAIN, name);
        });
    }

    /// Appends a rule to a chain.
    pub fn add_rule(&mut self, chain: &str, rule: &[Expr]) {
        self.push(NFT_MSG_NEWRULE, NLM_F_CREATE_APPEND, format!("add rule to chain {chain}"), |m, table| {
            m.text(NFTA_RULE_TABLE, table);
            m.text(NFTA_RULE_CHAIN, chain);
            m.nest(NFTA_RULE_EXPRESSIONS, |m| rule.iter().for_each(|e| expr::write(m, e)));
        });
    }

    /// Makes a set or map; one that exists is no error.
    pub fn add_set(&mut self, set: &Set) {
        self.sets += 1;
        let id = self.sets;
        self.push(NFT_MSG_NEWSET, NLM_F_CREATE, format!("add set {}", set.name), |m, table| {
            m.text(NFTA_SET_TABLE, table);
            m.text(NFTA_SET_NAME, set.name);
            let map = if set.data == SetData::None { 0 } else { NFT_SET_MAP };
            let dynamic = if set.dynamic.is_some() { NFT_SET_TIMEOUT | NFT_SET_EVAL } else { 0 };
            m.be32(NFTA_SET_FLAGS, map | dynamic);
            m.be32(NFTA_SET_KEY_TYPE, joined(set.key));
            m.be32(NFTA_SET_KEY_LEN, 4 * set.key.len() as u32);
            match set.data {
                SetData::None => {}
                SetData::Verdict => {
                    m.be32(NFTA_SET_DATA_TYPE, NFT_DATA_VERDICT);
                    m.be32(NFTA_SET_DATA_LEN, 16);
                }
                SetData::Fields(fields) => {
                    m.be32(NFTA_SET_DATA_TYPE, joined(fields));
                    m.be32(NFTA_SET_DATA_LEN, 4 * fields.len() as u32);
                }
            }
            if let Some(limit) = set.dynamic {
                m.nest(NFTA_SET_DESC, |m| m.be32(NFTA_SET_DESC_SIZE, limit));
            }
            m.be32(NFTA_SET_ID, id);
        });
    }

    /// Removes all elements of a set.
    pub fn flush_set(&mut self, set: &str) {
        self.push(NFT_MSG_DELSETELEM, 0, format!("flush set {set}"), |m, table| {
            m.text(NFTA_SET_ELEM_LIST_TABLE, table);
            m.text(NFTA_SET_ELEM_LIST_SET, set);
        });
    }

    /// Adds elements to a set or removes them. An added one must not exist with other data; a removed one
    /// must exist.
    pub fn elements<'a>(
        &mut self,
        set: &str,
        change: ElementChange,
        elements: impl IntoIterator<Item = (&'a [u8], &'a ElementData)>,
    ) {
        let (kind, flags, what) = match change {
            ElementChange::Add => (NFT_MSG_NEWSETELEM, NLM_F_CREATE, format!("add elements to {set}")),
            ElementChange::Delete => (NFT_MSG_DELSETELEM, 0, format!("delete elements of {set}")),
        };
        let mut elements = elements.into_iter().peekable();
        while elements.peek().is_some() {
            self.push(kind, flags, what.clone(), |m, table| {
                m.text(NFTA_SET_ELEM_LIST_TABLE, table);
                m.text(NFTA_SET_ELEM_LIST_SET, set);
                m.nest(NFTA_SET_ELEM_LIST_ELEMENTS, |m| {
                    let mut bytes = 0;
                    while bytes < ELEMENT_LIST_BYTES
                        && let Some((key, data)) = elements.next()
                    {
                        bytes += write_element(m, key, data, change);
                    }
                });
            });
        }
    }
}

/// Writes one element and answers with a bound of its size.
fn write_element(m: &mut Message<'_>, key: &[u8], data: &ElementData, change: ElementChange) -> usize {
    let mut bytes = 32 + key.len();
    m.nest(NFTA_LIST_ELEM, |m| {
        m.nest(NFTA_SET_ELEM_KEY, |m| m.bytes(expr::NFTA_DATA_VALUE, key));
        // What it leads to is not part of an element's identity.
        if change == ElementChange::Delete {
            return;
        }
        match data {
            ElementData::None => {}
            ElementData::Value(value) => {
                bytes += 8 + value.len();
                m.nest(NFTA_SET_ELEM_DATA, |m| m.bytes(expr::NFTA_DATA_VALUE, value));
            }
            ElementData::Verdict(verdict) => {
                bytes += 160;
                m.nest(NFTA_SET_ELEM_DATA, |m| expr::write_verdict(m, verdict));
            }
        }
    });
    bytes
}

// === impl Nft ===

impl Nft {
    /// Opens it in the network namespace of the calling thread.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn open() -> Result<Self> {
        Ok(Nft(Socket::open(Family::Netfilter)?))
    }

    /// Executes a transaction.
    ///
    /// # Errors
    /// The kernel's refusal of one of its requests; nothing of it has happened then.
    pub fn commit(&mut self, transaction: Transaction) -> Result<()> {
        if transaction.is_empty() {
            return Ok(());
        }
        let mut batch = transaction.batch;
        let last = batch.len() - 1;
        let end = nfgen(libc::AF_UNSPEC as u8, NFNL_SUBSYS_NFTABLES);
        batch.push(NFNL_MSG_BATCH_END, 0, "end transaction", &end, |_| {});
        self.0.execute(&mut batch, last)
    }

    /// The mark that a table was made with; `None` when there is no such table.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn table(&mut self, name: &str) -> Result<Option<Vec<u8>>> {
        let mut batch = Batch::new();
        let header = nfgen(libc::AF_INET as u8, 0);
        let what = format!("get table {name}");
        batch.push(message(NFT_MSG_GETTABLE), 0, what, &header, |m| m.text(NFTA_TABLE_NAME, name));
        let answer = self.0.get(&mut batch, |kind, payload| {
            let attributes = payload.get(4..)?;
            (kind == message(NFT_MSG_NEWTABLE))
                .then(|| codec::attribute(attributes, NFTA_TABLE_USERDATA).unwrap_or_default().to_vec())
        });
        match answer {
            Err(error) if error.is_not_found() => Ok(None),
            other => other,
        }
    }

    /// Names of the chains of a table.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn chains(&mut self, table: &str) -> Result<Vec<String>> {
        let request = |batch: &mut Batch, flags: u16| {
            let header = nfgen(libc::AF_INET as u8, 0);
            batch.push(message(NFT_MSG_GETCHAIN), flags, "list chains", &header, |_| {});
        };
        self.0.dump(request, |kind, payload| {
            let attributes = payload.get(4..)?;
            let of = codec::text(codec::attribute(attributes, NFTA_CHAIN_TABLE)?);
            let name = codec::text(codec::attribute(attributes, NFTA_CHAIN_NAME)?);
            (kind == message(NFT_MSG_NEWCHAIN) && of == table).then_some(name)
        })
    }

    /// The keys of a set's elements.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn element_keys(&mut self, table: &str, set: &str) -> Result<Vec<Vec<u8>>> {
        let request = |batch: &mut Batch, flags: u16| {
            let header = nfgen(libc::AF_INET as u8, 0);
            batch.push(message(NFT_MSG_GETSETELEM), flags, format!("list set {set}"), &header, |m| {
                m.text(NFTA_SET_ELEM_LIST_TABLE, table);
                m.text(NFTA_SET_ELEM_LIST_SET, set);
            });
        };
        let lists = self.0.dump(request, |kind, payload| {
            let list = codec::attribute(payload.get(4..)?, NFTA_SET_ELEM_LIST_ELEMENTS)?;
            let keys = codec::attributes(list).filter_map(|(_, element)| {
                let key = codec::attribute(element, NFTA_SET_ELEM_KEY)?;
                Some(codec::attribute(key, expr::NFTA_DATA_VALUE)?.to_vec())
            });
            (kind == message(NFT_MSG_NEWSETELEM)).then(|| keys.collect::<Vec<_>>())
        })?;
        Ok(lists.into_iter().flatten().collect())
    }
}

fn message(kind: u16) -> u16 {
    NFNL_SUBSYS_NFTABLES << 8 | kind
}

/// `struct nfgenmsg`.
pub(super) fn nfgen(family: u8, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}

/// The number that stands for a sequence of types: six bits each.
fn joined(fields: &[FieldType]) -> u32 {
    fields.iter().fold(0, |joined, field| joined << 6 | *field as u32)
}
