// Command foreign only has to exist: it is built for a processor that the guests lack.
package main

func main() { println("this cannot be seen on amd64") }
