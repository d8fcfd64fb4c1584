<?php

// What Composer would have written: each class is in the file of its name.
spl_autoload_register(function (string $class): void {
    $file = __DIR__ . '/' . strtr($class, '\\', '/') . '.php';
    if (is_file($file)) {
        require $file;
    }
});
require __DIR__ . '/FastRoute/functions.php';
