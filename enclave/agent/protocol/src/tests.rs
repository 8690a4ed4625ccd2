mod ends;
mod hostile;
