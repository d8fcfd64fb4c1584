// Something to compile.

exports.fibonacci = function fibonacci(n) {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
};
exports.fibonacci(10);
