//! What stands in for compressors where none is compiled in? Types without a value: that is why `lent`, the real ones' too,
//! returns an `Option`.

#![allow(clippy::boxed_local, reason = "the signatures are those of the real ones")]

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::ops::Range;

use super::{Budget, Direction, Settings};
use crate::error::Error;

#[derive(Debug)]
pub(crate) enum Pool {}

#[derive(Debug)]
pub(crate) enum Compressor {}

impl Compressor {
    pub(crate) fn lent(_: Settings, _: bool, _: bool, _: Option<&Arc<Pool>>) -> Option<Box<Compressor>> {
        None
    }

    pub(crate) fn give_back(self: Box<Self>, _: Option<&Arc<Pool>>) {
        match *self {}
    }

    pub(crate) fn trim(&mut self) {
        match *self {}
    }

    pub(crate) fn compress(&mut self, _: &[u8], _: bool) -> &[u8] {
        match *self {}
    }

    pub(crate) fn is_awake(&self) -> bool {
        match *self {}
    }

    pub(crate) fn is_warm(&self) -> bool {
        match *self {}
    }

    pub(crate) fn cool(&mut self) {
        match *self {}
    }

    pub(crate) fn sleep(&mut self) {
        match *self {}
    }
}

#[derive(Debug)]
pub(crate) enum Decompressor {}

impl Decompressor {
    pub(crate) fn lent(_: Direction, _: Option<&Arc<Pool>>) -> Option<Box<Decompressor>> {
        None
    }

    pub(crate) fn give_back(self: Box<Self>, _: Option<&Arc<Pool>>) {
        match *self {}
    }

    pub(crate) fn decompress(&mut self, _: &[u8], _: Budget) -> Result<usize, Error> {
        match *self {}
    }

    pub(crate) fn is_full(&self) -> bool {
        match *self {}
    }

    pub(crate) fn unread(&self) -> &[u8] {
        match *self {}
    }

    pub(crate) fn read(&mut self, _: usize) {
        match *self {}
    }

    pub(crate) fn read_all(&mut self) -> Range<usize> {
        match *self {}
    }

    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        match *self {}
    }

    pub(crate) fn output(&self, _: Range<usize>) -> &[u8] {
        match *self {}
    }

    pub(crate) fn is_awake(&self) -> bool {
        match *self {}
    }

    pub(crate) fn is_warm(&self) -> bool {
        match *self {}
    }

    pub(crate) fn cool(&mut self) {
        match *self {}
    }

    pub(crate) fn sleep(&mut self) {
        match *self {}
    }
}
