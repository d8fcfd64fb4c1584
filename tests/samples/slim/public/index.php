<?php

require __DIR__ . '/../vendor/autoload.php';
require __DIR__ . '/../src/notes.php';

$app = new Slim\App();

$app->get('/', fn ($request, $response) => $response->write('<h1>Slim</h1>'));

$app->get('/hello/{name}', function ($request, $response, array $args) {
    return $response->write('Hello, ' . htmlspecialchars($args['name']) . ' at ' . $request->getUri());
});

$app->get('/notes', function ($request, $response) {
    return $response->withJson(['notes' => notes()->query('SELECT text FROM notes')->fetchAll(PDO::FETCH_COLUMN)]);
});

$app->post('/notes', function ($request, $response) {
    notes()->prepare('INSERT INTO notes VALUES (?)')->execute([$request->getParam('text')]);
    return $response->withRedirect('/notes', 303);
});

$app->post('/length', function ($request, $response) {
    return $response->withJson(['bytes' => strlen((string) $request->getBody())]);
});

$app->run();
