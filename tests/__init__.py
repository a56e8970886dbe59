"""The tests of Marey, in folders like those of src/marey. `support` has what several of them need."""
