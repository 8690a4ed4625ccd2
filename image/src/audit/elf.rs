//! ELF-64 program headers (System V gABI chapter 5, psABI for x86-64): what the kernel maps, and with which rights.
//!
//! Sections aren't read for a verdict: the kernel doesn't look at them.

use thiserror::Error;

/// Start of a 64-bit little-endian file of version 1.
pub const MAGIC: &[u8] = b"\x7fELF\x02\x01";

const HEADER_LEN: usize = 64;
const PROGRAM_HEADER_LEN: usize = 56;
const DYNAMIC_LEN: usize = 16;
/// e_machine of x86-64.
const X86_64: u16 = 62;
const EXECUTABLE: u16 = 2;
const SHARED_OBJECT: u16 = 3;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const PT_GNU_STACK: u32 = 0x6474_e551;
const PT_GNU_RELRO: u32 = 0x6474_e552;
const PT_GNU_PROPERTY: u32 = 0x6474_e553;
const PF_X: u32 = 1;
const PF_W: u32 = 2;

const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

const NT_GNU_PROPERTY_TYPE_0: u32 = 5;
const GNU_PROPERTY_X86_FEATURE_1_AND: u32 = 0xc000_0002;

/// Why a file isn't a program that the kernel of the image would start.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ElfError {
    /// Not a 64-bit little-endian ELF file.
    #[error("not a 64-bit little-endian ELF file")]
    Magic,
    /// Of another processor.
    #[error("for machine {0}, not x86-64 (62)")]
    Machine(u16),
    /// Neither an executable nor a position-independent one.
    #[error("ELF type {0}, not an executable (2 or 3)")]
    Type(u16),
    /// Program headers of another length than the format's.
    #[error("program headers have {0} bytes, not {PROGRAM_HEADER_LEN}")]
    HeaderLen(u16),
    /// A table that lies outside the file.
    #[error("{0} lies outside the file")]
    Outside(&'static str),
}

/// What the program headers say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Program {
    /// Whether it can be loaded at any address.
    pub position_independent: bool,
    /// Whether it wants a dynamic loader (PT_INTERP).
    pub interpreter: bool,
    /// How many libraries it wants (DT_NEEDED).
    pub needed: usize,
    /// Whether it names folders to look for libraries in (DT_RPATH, DT_RUNPATH).
    pub search_path: bool,
    /// Rights of PT_GNU_STACK, if there is one: without, the kernel makes the stack executable.
    pub stack_executable: Option<bool>,
    /// How many segments are both writable and executable.
    pub writable_code: usize,
    /// How many segments are loaded.
    pub loaded: usize,
    /// Whether relocated data is read-only after the start (PT_GNU_RELRO).
    pub relro: bool,
    /// Bits of GNU_PROPERTY_X86_FEATURE_1_AND: 1 indirect-branch tracking, 2 shadow stack.
    pub cet: u32,
}

impl Program {
    /// Reads the headers of a file.
    ///
    /// # Errors
    /// [`ElfError`].
    pub fn read(file: &[u8]) -> Result<Self, ElfError> {
        if !file.starts_with(MAGIC) || file.len() < HEADER_LEN {
            return Err(ElfError::Magic);
        }
        let kind = u16_at(file, 16);
        let machine = u16_at(file, 18);
        if machine != X86_64 {
            return Err(ElfError::Machine(machine));
        }
        if kind != EXECUTABLE && kind != SHARED_OBJECT {
            return Err(ElfError::Type(kind));
        }
        let (size, count) = (u16_at(file, 54), u16_at(file, 56));
        if count > 0 && usize::from(size) != PROGRAM_HEADER_LEN {
            return Err(ElfError::HeaderLen(size));
        }
        let table = part(
            file,
            u64_at(file, 32),
            u64::from(count) * PROGRAM_HEADER_LEN as u64,
            "the table of program headers",
        )?;
        let mut program = Self {
            position_independent: kind == SHARED_OBJECT,
            ..Self::default()
        };
        for header in table.chunks_exact(PROGRAM_HEADER_LEN) {
            program.add(file, header)?;
        }
        Ok(program)
    }

    fn add(&mut self, file: &[u8], header: &[u8]) -> Result<(), ElfError> {
        let (kind, flags) = (u32_at(header, 0), u32_at(header, 4));
        let content = || part(file, u64_at(header, 8), u64_at(header, 32), "a segment");
        match kind {
            PT_LOAD => {
                content()?;
                self.loaded += 1;
                self.writable_code += usize::from(flags & (PF_W | PF_X) == PF_W | PF_X);
            }
            PT_INTERP => self.interpreter = true,
            PT_GNU_STACK => {
                let executable = flags & PF_X != 0;
                // Of several, the worst.
                self.stack_executable = Some(executable || self.stack_executable == Some(true));
            }
            PT_GNU_RELRO => self.relro = true,
            PT_GNU_PROPERTY => self.cet |= cet(content()?),
            PT_DYNAMIC => {
                for entry in content()?.chunks_exact(DYNAMIC_LEN) {
                    match u64_at(entry, 0) {
                        DT_NULL => break,
                        DT_NEEDED => self.needed += 1,
                        DT_RPATH | DT_RUNPATH => self.search_path = true,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Control-flow features of a `.note.gnu.property` (psABI for x86-64): the program has one only if each object in it has.
fn cet(mut note: &[u8]) -> u32 {
    while note.len() >= 16 {
        let (name, length) = (u32_at(note, 0), u32_at(note, 4) as usize);
        let Some(properties) = note.get(16..).and_then(|rest| rest.get(..length)) else {
            return 0;
        };
        if name == 4 && u32_at(note, 8) == NT_GNU_PROPERTY_TYPE_0 && &note[12..16] == b"GNU\0" {
            return feature_1(properties);
        }
        note = note.get(16 + length.next_multiple_of(8)..).unwrap_or_default();
    }
    0
}

fn feature_1(mut properties: &[u8]) -> u32 {
    while properties.len() >= 12 {
        let (kind, length) = (u32_at(properties, 0), u32_at(properties, 4) as usize);
        if kind == GNU_PROPERTY_X86_FEATURE_1_AND && length == 4 {
            return u32_at(properties, 8);
        }
        let next = length.next_multiple_of(8).saturating_add(8);
        properties = properties.get(next..).unwrap_or_default();
    }
    0
}

/// Whether bytes occur in others.
pub fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    find(haystack, needle).is_some()
}

/// Where bytes first occur in others.
pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let (first, rest) = needle.split_first()?;
    let mut from = 0;
    while let Some(at) = haystack[from..].iter().position(|byte| byte == first) {
        let after = from + at + 1;
        if haystack[after..].starts_with(rest) {
            return Some(from + at);
        }
        from = after;
    }
    None
}

fn part<'a>(file: &'a [u8], at: u64, length: u64, what: &'static str) -> Result<&'a [u8], ElfError> {
    let range = || {
        let from = usize::try_from(at).ok()?;
        let to = from.checked_add(usize::try_from(length).ok()?)?;
        file.get(from..to)
    };
    range().ok_or(ElfError::Outside(what))
}

// Callers have checked the length.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().expect("two bytes"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A file of program headers: type, flags, content.
    pub fn file(headers: &[(u32, u32, &[u8])]) -> Vec<u8> {
        let mut file = vec![0; HEADER_LEN + headers.len() * PROGRAM_HEADER_LEN];
        file[..6].copy_from_slice(MAGIC);
        file[16] = EXECUTABLE as u8;
        file[18] = X86_64 as u8;
        file[32] = HEADER_LEN as u8;
        file[54] = PROGRAM_HEADER_LEN as u8;
        file[56] = headers.len() as u8;
        for (index, (kind, flags, content)) in headers.iter().enumerate() {
            let at = HEADER_LEN + index * PROGRAM_HEADER_LEN;
            let offset = file.len() as u64;
            file[at..at + 4].copy_from_slice(&kind.to_le_bytes());
            file[at + 4..at + 8].copy_from_slice(&flags.to_le_bytes());
            file[at + 8..at + 16].copy_from_slice(&offset.to_le_bytes());
            file[at + 32..at + 40].copy_from_slice(&(content.len() as u64).to_le_bytes());
            file.extend_from_slice(content);
        }
        file
    }

    /// What a linker makes of a static program.
    pub fn good() -> Vec<(u32, u32, &'static [u8])> {
        vec![
            (PT_LOAD, 4, b"rodata"),
            (PT_LOAD, 4 | PF_X, b"text"),
            (PT_LOAD, 4 | PF_W, b"data"),
            (PT_GNU_RELRO, 4, b""),
            (PT_GNU_STACK, 4 | PF_W, b""),
        ]
    }

    pub const INTERPRETER: (u32, u32, &[u8]) = (PT_INTERP, 4, b"/lib64/ld-linux-x86-64.so.2\0");
    pub const WRITABLE_CODE: (u32, u32, &[u8]) = (PT_LOAD, 7, b"");
    pub const EXECUTABLE_STACK: (u32, u32, &[u8]) = (PT_GNU_STACK, 7, b"");
    pub const LIBRARY_AND_PATH: (u32, u32, &[u8]) = (
        PT_DYNAMIC,
        6,
        &[
            1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 29, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ],
    );

    #[test]
    fn reads_what_a_static_program_says() {
        let program = Program::read(&file(&good())).unwrap();
        let expected = Program {
            stack_executable: Some(false),
            loaded: 3,
            relro: true,
            ..Program::default()
        };
        assert_eq!(program, expected);
    }

    #[test]
    fn reads_what_a_dynamic_program_says() {
        let mut headers = good();
        headers.extend([INTERPRETER, LIBRARY_AND_PATH, WRITABLE_CODE, EXECUTABLE_STACK]);
        let program = Program::read(&file(&headers)).unwrap();
        assert!(program.interpreter && program.search_path);
        assert_eq!((program.needed, program.writable_code), (1, 1));
        assert_eq!(program.stack_executable, Some(true));
    }

    /// The compiler's own output: this test is a position-independent program with RELRO.
    #[test]
    fn reads_a_real_program() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let program = Program::read(&own).unwrap();
        assert!(program.position_independent && program.interpreter && program.relro);
        assert!(program.needed > 0 && program.writable_code == 0);
        assert_eq!(program.stack_executable, Some(false));
    }

    #[test]
    fn reads_control_flow_features() {
        let mut note = Vec::new();
        for word in [4, 16, NT_GNU_PROPERTY_TYPE_0] {
            note.extend_from_slice(&word.to_le_bytes());
        }
        note.extend_from_slice(b"GNU\0");
        for word in [GNU_PROPERTY_X86_FEATURE_1_AND, 4, 3, 0] {
            note.extend_from_slice(&word.to_le_bytes());
        }
        assert_eq!(cet(&note), 3);
        for length in 0..note.len() {
            cet(&note[..length]);
        }
        let program = Program::read(&file(&[(PT_GNU_PROPERTY, 4, &note)])).unwrap();
        assert_eq!(program.cet, 3);
    }

    #[test]
    fn hostile_files_are_refused_or_read_but_never_panic() {
        let good = file(&good());
        for length in 0..good.len() {
            let _ = Program::read(&good[..length]);
        }
        for at in 0..good.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bytes = good.clone();
                bytes[at] = value;
                let _ = Program::read(&bytes);
            }
        }
        let change = |at: usize, value: &[u8]| {
            let mut bytes = good.clone();
            bytes[at..at + value.len()].copy_from_slice(value);
            Program::read(&bytes).unwrap_err()
        };
        assert_eq!(change(4, &[1]), ElfError::Magic);
        assert_eq!(change(18, &[3]), ElfError::Machine(3));
        assert_eq!(change(16, &[1]), ElfError::Type(1));
        assert_eq!(change(54, &[32]), ElfError::HeaderLen(32));
        assert_eq!(
            change(32, &[0xff; 8]),
            ElfError::Outside("the table of program headers")
        );
        assert_eq!(change(HEADER_LEN + 8, &[0xff; 8]), ElfError::Outside("a segment"));
    }

    #[test]
    fn finds_bytes() {
        assert_eq!(find(b"aab", b"ab"), Some(1));
        assert_eq!(find(b"aab", b"ac"), None);
        assert_eq!(find(b"a", b"ab"), None);
        assert!(!contains(b"a", b""));
    }
}
