// Package limit says whose request it is and how often it may ask.
//
//	Proxies   finds the client behind the proxies that the operator trusts
//	Rates     how many requests a second each class of them may be
//	Limiter   holds clients to their rates
//
// Of a request it knows the header, and nothing else.
package limit
