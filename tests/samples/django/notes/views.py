from django.http import HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from .models import Note


@csrf_exempt
def notes(request):
    if request.method == 'POST':
        Note.objects.create(text=request.GET['text'])
    return JsonResponse({'notes': list(Note.objects.order_by('id').values_list('text', flat=True))})


def up(request):
    return HttpResponse('up')
