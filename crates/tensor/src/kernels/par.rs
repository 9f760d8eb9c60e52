//! placeholder until merge
pub fn for_each(chunks: usize, f: impl Fn(usize) + Sync) { for c in 0..chunks { f(c) } }
pub fn for_each_chunk_mut<T: Send>(data: &mut [T], chunk: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    if data.is_empty() { return }
    for (i, c) in data.chunks_mut(chunk).enumerate() { f(i, c) }
}
pub(crate) struct SendPtr<T>(pub *mut T);
unsafe impl<T> Send for SendPtr<T> {}
unsafe impl<T> Sync for SendPtr<T> {}
impl<T> SendPtr<T> { pub fn get(&self) -> *mut T { self.0 } }
